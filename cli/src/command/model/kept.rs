//! `tessera model list` and `tessera model remove`: what a cluster keeps, and its end.

use serde::Serialize;

use crate::{
    args::{ListModelArgs, RemoveModelArgs},
    command::{connect, table::Table},
    exit::Failure,
    output::{Output, Style},
};

/// A model that was taken away, for scripts.
#[derive(Debug, Serialize)]
struct Removed<'a> {
    name: &'a str,
    /// Bytes of the files that went with it.
    freed: u64,
}

/// Lists all models of a cluster.
pub(in crate::command) async fn list(args: ListModelArgs, output: &Output) -> Result<(), Failure> {
    let models = connect(&args.cluster).await?.models().await?;
    if output.style() == Style::Json {
        return models.iter().try_for_each(|model| output.json(model));
    }
    if models.is_empty() {
        output.note("no models: give the cluster one with tessera model push DIR");
        return Ok(());
    }
    let mut table = Table::new(["name", "hash", "size", "files"]);
    for model in models {
        table.row([model.name, model.hash.to_string(), mebibytes(model.size), model.files.to_string()]);
    }
    output.data(table)
}

/// Takes a model away.
pub(in crate::command) async fn remove(args: RemoveModelArgs, output: &Output) -> Result<(), Failure> {
    let RemoveModelArgs { name, cluster, .. } = args;
    let freed = connect(&cluster).await?.remove_model(name.clone()).await?;
    if output.style() == Style::Json {
        return output.json(&Removed { name: &name, freed });
    }
    output.data(format_args!("model {name} is gone, with {} of files", mebibytes(freed)))
}

/// A size for people.
pub(super) fn mebibytes(bytes: u64) -> String {
    // A tenth is enough, and rounded up: nothing has no size.
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up() {
        let sizes = [0, 1, 1 << 20, (1 << 20) + 1, 3 << 30].map(mebibytes);
        assert_eq!(sizes, ["0.0 MiB", "0.1 MiB", "1.0 MiB", "1.1 MiB", "3072.0 MiB"]);
    }
}
