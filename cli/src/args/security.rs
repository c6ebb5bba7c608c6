//! The flags of `tessera init` and `tessera token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::StoreArgs;

/// `tessera init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Folder to make (default: $TESSERA_HOME/tls)
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Host name or address under which the coordinator is reached; may be given several times (default: this host's name,
    /// localhost, 127.0.0.1 and ::1, which are always in it)
    #[arg(long, value_name = "HOST")]
    pub(crate) name: Vec<String>,
    /// Make a new certificate for the coordinator with the authority that is there
    #[arg(long)]
    pub(crate) renew: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera token …`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

/// The kinds of `tessera token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it: the only time that it can be read
    New(NewTokenArgs),
    /// List tokens, and the certificates that workers got for them
    List(ListTokenArgs),
    /// End a token, and the certificates that workers got for it
    Revoke(RevokeArgs),
}

/// `tessera token new`.
#[derive(Debug, Args)]
pub(crate) struct NewTokenArgs {
    /// What it is good for: submit | worker | admin
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: String,
    /// Whose it is: jobs handed in with it are this user's (default: the role)
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Days until it ends
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(crate) days: u16,
    /// Make a certificate instead, for programs that can show nothing else (KEDA): writes tls.crt and tls.key to this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) certificate: Option<PathBuf>,
    /// With --certificate: the folder that `tessera init` made (default: $TESSERA_HOME/tls)
    #[arg(long, value_name = "DIR", requires = "certificate")]
    pub(crate) tls: Option<PathBuf>,
    /// Where the coordinator keeps its tokens.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `tessera token list`.
#[derive(Debug, Args)]
pub(crate) struct ListTokenArgs {
    /// Where the coordinator keeps its tokens.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera token revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The token or certificate, as `tessera token list` prints them
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Where the coordinator keeps its tokens.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
