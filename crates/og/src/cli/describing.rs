//! What is said of a node's machine.

use clap::Args;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  og node describe\n  og node describe --name worker-2 tee=tdx accelerator=h200\n\nIt takes the place of what was said before. Nobody checks it, and no assurance rests on it."
)]
pub struct NodeDescribe {
    /// Words of at most 32 small letters, digits, =, ., _ and -; one such as cores=8 takes the place of what is found here.
    pub words: Vec<String>,
    /// The node: its name in the folder's network, or its id.
    #[arg(long, default_value = "worker-1")]
    pub name: String,
    /// Who operates it: a key of the folder, or NAME/INDEX or @FILE for a wallet; without it, the key of the folder that does.
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
}
