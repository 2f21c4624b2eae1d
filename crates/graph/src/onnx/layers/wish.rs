//! How the users of a value would like it to be held.

/// How the users of a value would like it, together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    /// 8 bits, which a matrix multiplies.
    pub eight: bool,
    /// 8 bits with a sign, which attention multiplies.
    pub signed: bool,
    /// 8 bits although others would like 16: it is an image.
    pub image: bool,
    /// 16 bits.
    pub sixteen: bool,
    /// The index of a table.
    pub index: bool,
    /// 32 bits, which a linear model weighs.
    pub fine: bool,
    /// The place in the order of all floats, which trees compare.
    pub places: bool,
}

impl Wish {
    pub const NONE: Self =
        Self { eight: false, signed: false, image: false, sixteen: false, index: false, fine: false, places: false };
    pub const EIGHT: Self = Self { eight: true, ..Self::NONE };
    pub const SIGNED: Self = Self { signed: true, ..Self::EIGHT };
    pub const IMAGE: Self = Self { image: true, ..Self::EIGHT };
    pub const SIXTEEN: Self = Self { sixteen: true, ..Self::NONE };
    pub const INDEX: Self = Self { index: true, ..Self::NONE };
    pub const FINE: Self = Self { fine: true, ..Self::NONE };
    pub const PLACES: Self = Self { places: true, ..Self::NONE };

    pub fn join(&mut self, other: Self) {
        self.eight |= other.eight;
        self.signed |= other.signed;
        self.image |= other.image;
        self.sixteen |= other.sixteen;
        self.index |= other.index;
        self.fine |= other.fine;
        self.places |= other.places;
    }
}
