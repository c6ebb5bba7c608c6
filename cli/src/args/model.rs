//! The flags of `tessera model …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ClusterArgs;

/// `tessera model …`.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// What to do with models.
    #[command(subcommand)]
    pub(crate) command: ModelCommand,
}

/// The kinds of `tessera model`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Print what a model folder says about itself, and its content hash
    Inspect(InspectArgs),
    /// Give a model folder to a cluster, whose workers with --fetch-models serve it then
    ///
    /// Only files are sent that the cluster does not have yet. A folder with symbolic links, or with names that cannot lie
    /// everywhere, is refused.
    Push(PushArgs),
    /// List the models that a cluster was given
    List(ListModelArgs),
    /// Take a model from a cluster again, with the files that no other one needs
    ///
    /// Workers that serve it go on, and jobs that have begun with it end.
    Remove(RemoveModelArgs),
}

/// `tessera model inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A standard ONNX model folder: model_index.json, text_encoder/, unet/, vae_decoder/, tokenizer/, scheduler/
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera model push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// A model folder, as for `tessera model inspect`
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// What jobs call it with --model, and pictures say of it (default: the folder's name); what had the name gives it up
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera model list`.
#[derive(Debug, Args)]
pub(crate) struct ListModelArgs {
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera model remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveModelArgs {
    /// The model, as `tessera model list` prints it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
