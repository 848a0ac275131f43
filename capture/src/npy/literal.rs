//! The literal that says what an array is: a dictionary as Python writes it, read and never executed.

use super::error::NpyError;

/// What a header says: its three entries, nothing more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal<'a> {
    /// The type of an element, as NumPy writes it.
    pub(super) descr: &'a [u8],
    /// The first index moves fastest.
    pub(super) fortran_order: bool,
    /// Elements along each index.
    pub(super) shape: Vec<u64>,
}

impl<'a> Literal<'a> {
    /// Reads all of `text`; the shape has no more elements than the text has bytes.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, NpyError> {
        let mut reader = Reader { text, at: 0 };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        reader.expect(b'{', "{")?;
        while !reader.take(b'}') {
            let start = reader.at;
            let key = reader.string()?;
            reader.expect(b':', ":")?;
            let is_second = match key {
                b"descr" => descr.replace(reader.descr()?).is_some(),
                b"fortran_order" => fortran_order.replace(reader.boolean()?).is_some(),
                b"shape" => shape.replace(reader.tuple()?).is_some(),
                _ => return Err(NpyError::Header { at: start, expected: "descr, fortran_order or shape" }),
            };
            if is_second {
                return Err(NpyError::Header { at: start, expected: "each key once" });
            }
            if !reader.take(b',') {
                reader.expect(b'}', ", or }")?;
                break;
            }
        }
        reader.skip_space();
        if reader.at < text.len() {
            return Err(NpyError::Header { at: reader.at, expected: "nothing but spaces behind }" });
        }
        Ok(Self {
            descr: descr.ok_or(NpyError::Missing("descr"))?,
            fortran_order: fortran_order.ok_or(NpyError::Missing("fortran_order"))?,
            shape: shape.ok_or(NpyError::Missing("shape"))?,
        })
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n')).count();
    }

    /// Steps over `byte` and the space before it, where it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), NpyError> {
        if self.take(byte) { Ok(()) } else { Err(NpyError::Header { at: self.at, expected }) }
    }

    /// A text in quotes of either kind. Escapes are in no name of a type.
    fn string(&mut self) -> Result<&'a [u8], NpyError> {
        let quote = if self.take(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect(b'\'', "a text in quotes")?;
        }
        let rest = &self.text[self.at..];
        let end = rest.iter().position(|byte| *byte == quote || matches!(byte, b'\\' | b'\n'));
        match end.filter(|end| rest[*end] == quote) {
            Some(end) => {
                self.at += end + 1;
                Ok(&rest[..end])
            }
            None => Err(NpyError::Header { at: self.at, expected: "the end of a text, without escapes" }),
        }
    }

    /// The name of a type. What has fields is a list.
    fn descr(&mut self) -> Result<&'a [u8], NpyError> {
        if self.take(b'[') { Err(NpyError::Fields) } else { self.string() }
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.skip_space();
        let words = [(&b"True"[..], true), (&b"False"[..], false)];
        let found = words.into_iter().find(|(word, _)| self.text[self.at..].starts_with(word));
        let (word, value) = found.ok_or(NpyError::Header { at: self.at, expected: "True or False" })?;
        self.at += word.len();
        Ok(value)
    }

    /// `()`, `(3,)`, `(3, 4)`, with or without a comma at the end; a number alone in parentheses is no tuple.
    fn tuple(&mut self) -> Result<Vec<u64>, NpyError> {
        self.expect(b'(', "(")?;
        let mut numbers = Vec::new();
        let mut has_comma = true;
        while !self.take(b')') {
            if !has_comma {
                return Err(NpyError::Header { at: self.at, expected: ", or )" });
            }
            numbers.push(self.number()?);
            has_comma = self.take(b',');
        }
        if numbers.len() == 1 && !has_comma {
            return Err(NpyError::Header { at: self.at - 1, expected: ", in a shape of one number" });
        }
        Ok(numbers)
    }

    fn number(&mut self) -> Result<u64, NpyError> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let digits = &rest[..rest.iter().take_while(|byte| byte.is_ascii_digit()).count()];
        let value = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let value =
            value.ok_or(NpyError::Header { at: self.at, expected: "a number from 0 to 18446744073709551615" })?;
        self.at += digits.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_numpy_writes_is_read_in_any_order_and_spacing() {
        let expected = || Literal { descr: b"<u2", fortran_order: false, shape: vec![3, 480, 640] };
        for text in [
            "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 480, 640), }          \n",
            "{\"shape\":(3,480,640,),'fortran_order':False,\"descr\":'<u2'}",
            " {\t'descr' : '<u2' ,\n'fortran_order' : False, 'shape' : ( 3 , 480 , 640 ) }",
        ] {
            assert_eq!(Literal::parse(text.as_bytes()), Ok(expected()), "{text}");
        }
        let shape = |text: &str| {
            Literal::parse(format!("{{'descr': 'O', 'fortran_order': True, 'shape': {text}}}").as_bytes())
                .map(|literal| literal.shape)
        };
        assert_eq!((shape("()"), shape("(7,)")), (Ok(vec![]), Ok(vec![7])));
        assert!(shape("(7)").unwrap_err().to_string().contains("a shape of one number"));
        assert!(shape("(18446744073709551616, 2)").unwrap_err().to_string().contains("a number from 0"));
        for text in ["(1 2)", "(,)", "(1,,2)", "(-1, 2)", "(0x10, 2)", "(1.0, 2)", "(1, 2", "[1, 2]", "1, 2"] {
            assert!(shape(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_dictionary_is_refused_where_it_ceases_to_be_one() {
        let said = |text: &str| Literal::parse(text.as_bytes()).unwrap_err().to_string();
        for (text, reason) in [
            ("", "at its byte 0: { is expected there"),
            ("{'descr': __import__('os')}", "at its byte 10: a text in quotes"),
            ("{'descr': '<u2', 'evil': 1}", "at its byte 17: descr, fortran_order or shape"),
            ("{'descr': '<u2', 'descr': '<u2'}", "at its byte 17: each key once"),
            ("{'descr': '<u2' 'shape': (2,)}", "at its byte 16: , or }"),
            ("{'descr': '<u\\x32'}", "without escapes"),
            ("{'fortran_order': 0}", "at its byte 18: True or False"),
            ("{'descr': '<u2'} + 1", "at its byte 17: nothing but spaces behind }"),
            ("{'descr': '<u2'}", "has no fortran_order"),
            ("{'descr': [('a', '<u2')]}", "a record of fields"),
        ] {
            assert!(said(text).contains(reason), "{text}: {}", said(text));
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Literal::parse(&text);
        }

        #[test]
        fn a_header_with_bytes_changed_is_read_or_refused(
            changes in proptest::collection::vec((0_usize..80, prop::sample::select(b"{}()'\",:[]\\ 019TF\n".to_vec())), 0..6),
        ) {
            let mut text = b"{'descr': '<u2', 'fortran_order': False, 'shape': (3, 480, 640), }              \n".to_vec();
            for (at, byte) in changes {
                text[at] = byte;
            }
            if let Ok(literal) = Literal::parse(&text) {
                prop_assert!(literal.shape.len() <= text.len());
            }
        }
    }
}
