//! Three ways to write a noun down once: a record, a choice of words, a choice of records.

/// A record: fields in order, each `Canonical`; with a domain it is a `Noun` and has a digest.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $name:ident $(in $domain:literal)? { $($(#[$about:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$about])* pub $field: $type,)+ }

        impl $crate::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::Canonical::write(&self.$field, out);)+
            }
            fn read(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let before = reader.rest();
                $(reader.enter(concat!(stringify!($name), ".", stringify!($field)));
                let $field = <$type as $crate::Canonical>::read(reader)?;)+
                reader.note(before, &[$($domain)?]);
                Ok(Self { $($field,)+ })
            }
            fn to_value(&self) -> $crate::Value {
                $crate::Value::Record(vec![
                    $((stringify!($field).to_owned(), $crate::Canonical::to_value(&self.$field)),)+
                ])
            }
            fn from_value(value: &$crate::Value) -> Result<Self, $crate::ValueError> {
                let [$($field,)+] = value.fields([$(stringify!($field),)+])?;
                Ok(Self {
                    $($field: <$type as $crate::Canonical>::from_value($field)
                        .map_err(|error| error.within(stringify!($field)))?,)+
                })
            }
        }
        $(impl $crate::Noun for $name { const DOMAIN: &'static str = $domain; })?
    };
}

/// A closed choice of words: one byte on the wire, the word on the screen.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $word:ident = $tag:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$about])* $word,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$word,)+];
            pub const WORDS: &'static [&'static str] = &[$($text,)+];

            pub const fn word(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.word() == word)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.word())
            }
        }
        impl $crate::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$word => $tag,)+ });
            }
            fn read(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let field = reader.field();
                match reader.array()? {
                    $([$tag] => Ok(Self::$word),)+
                    [found] => Err($crate::DecodeError::Tag {
                        field, found, expected: concat!($(stringify!($tag), " ",)+),
                    }),
                }
            }
            fn to_value(&self) -> $crate::Value {
                $crate::Value::Text(self.word().to_owned())
            }
            fn from_value(value: &$crate::Value) -> Result<Self, $crate::ValueError> {
                let expected = Self::WORDS.join(", ");
                let found = value.text(&expected)?;
                Self::from_word(found).ok_or_else(|| $crate::ValueError::new(value.kind(), expected))
            }
        }
    };
}

/// A closed choice of contents: one byte and the content on the wire, one field named after it on the screen.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $case:ident($type:ty) = $tag:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$about])* $case($type),)+ }

        impl $name {
            pub const fn word(&self) -> &'static str {
                match self { $(Self::$case(_) => $text,)+ }
            }
        }
        impl $crate::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self { $(Self::$case(inner) => { out.push($tag); $crate::Canonical::write(inner, out); })+ }
            }
            fn read(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let field = reader.field();
                match reader.array()? {
                    $([$tag] => Ok(Self::$case(<$type as $crate::Canonical>::read(reader)?)),)+
                    [found] => Err($crate::DecodeError::Tag {
                        field, found, expected: concat!($(stringify!($tag), " ",)+),
                    }),
                }
            }
            fn to_value(&self) -> $crate::Value {
                let inner = match self { $(Self::$case(inner) => $crate::Canonical::to_value(inner),)+ };
                $crate::Value::Record(vec![(self.word().to_owned(), inner)])
            }
            fn from_value(value: &$crate::Value) -> Result<Self, $crate::ValueError> {
                let expected = concat!("an object with one of ", $($text, " ",)+);
                let $crate::Value::Record(fields) = value else {
                    return Err($crate::ValueError::new(value.kind(), expected));
                };
                match fields.as_slice() {
                    $([(name, inner)] if name == $text => <$type as $crate::Canonical>::from_value(inner)
                        .map(Self::$case).map_err(|error| error.within($text)),)+
                    _ => Err($crate::ValueError::new("another object", expected)),
                }
            }
        }
    };
}

pub(crate) use {choice, record, words};
