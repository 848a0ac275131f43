//! How configurations are filled in: by value, one call a field, so that a new field changes no caller.

/// A method for each of these fields that sets it.
macro_rules! setters {
    ($($field:ident: $value:ty),+ $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $value) -> Self {
            self.$field = $field.into();
            self
        }
    )+};
}

pub(super) use setters;
