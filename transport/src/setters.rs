//! How configurations are filled in: by value, one call a field, so that a new field changes no caller.

/// A method for each of these fields that sets it: here, and in the libraries that use this one.
#[doc(hidden)]
#[macro_export]
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
