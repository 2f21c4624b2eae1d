//! Types of tensors in GGUF files: those that are read, with the size of a block, and the names of all others.

/// A tensor's type that is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum TensorKind {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Iq4Nl,
    Q4K,
    Q5K,
    Q6K,
}

struct Row {
    kind: TensorKind,
    code: u32,
    name: &'static str,
    /// Values in a block, and its bytes.
    block: u64,
    bytes: u64,
}

static KINDS: [Row; 12] = [
    Row { kind: TensorKind::F32, code: 0, name: "F32", block: 1, bytes: 4 },
    Row { kind: TensorKind::F16, code: 1, name: "F16", block: 1, bytes: 2 },
    Row { kind: TensorKind::Bf16, code: 30, name: "BF16", block: 1, bytes: 2 },
    Row { kind: TensorKind::Q4_0, code: 2, name: "Q4_0", block: 32, bytes: 18 },
    Row { kind: TensorKind::Q4_1, code: 3, name: "Q4_1", block: 32, bytes: 20 },
    Row { kind: TensorKind::Q5_0, code: 6, name: "Q5_0", block: 32, bytes: 22 },
    Row { kind: TensorKind::Q5_1, code: 7, name: "Q5_1", block: 32, bytes: 24 },
    Row { kind: TensorKind::Q8_0, code: 8, name: "Q8_0", block: 32, bytes: 34 },
    Row { kind: TensorKind::Iq4Nl, code: 20, name: "IQ4_NL", block: 32, bytes: 18 },
    Row { kind: TensorKind::Q4K, code: 12, name: "Q4_K", block: 256, bytes: 144 },
    Row { kind: TensorKind::Q5K, code: 13, name: "Q5_K", block: 256, bytes: 176 },
    Row { kind: TensorKind::Q6K, code: 14, name: "Q6_K", block: 256, bytes: 210 },
];

/// Types that exist and are not read.
static OTHERS: [(u32, &str); 30] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (36, "IQ4_NL_4_4"),
    (37, "IQ4_NL_4_8"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
    (42, "Q2_0"),
];

impl TensorKind {
    fn row(self) -> &'static Row {
        // Every kind has a row; a test goes through them.
        KINDS.iter().find(|row| row.kind == self).unwrap_or(&KINDS[0])
    }

    pub fn from_code(code: u32) -> Option<Self> {
        KINDS.iter().find(|row| row.code == code).map(|row| row.kind)
    }

    /// The name of a type that exists and is not read.
    pub fn other(code: u32) -> Option<&'static str> {
        OTHERS.iter().find(|(other, _)| *other == code).map(|(_, name)| *name)
    }

    pub fn code(self) -> u32 {
        self.row().code
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Values in a block; a row of a tensor is a whole number of blocks.
    pub fn block(self) -> u64 {
        self.row().block
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> u64 {
        self.row().bytes
    }

    /// The names of all types that are read.
    pub fn names() -> String {
        KINDS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Display for TensorKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_row_and_no_code_is_used_twice() {
        let mut codes: Vec<u32> =
            KINDS.iter().map(|row| row.code).chain(OTHERS.iter().map(|(code, _)| *code)).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), KINDS.len() + OTHERS.len());
        for row in &KINDS {
            assert_eq!((row.kind.code(), TensorKind::from_code(row.code)), (row.code, Some(row.kind)));
        }
    }
}
