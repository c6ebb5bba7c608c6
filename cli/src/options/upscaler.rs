//! `--upscaler` as given in; what enlarges the picture, and the file of a network from outside the model's folder, out.

use std::path::{Path, PathBuf};

use tessera_proto::job::Upscaler;

/// Reads a filter's name, a network's name, or the path of a network's file, which ends in `.onnx`.
///
/// Whether there is such a network or file is seen when the model is opened.
pub(super) fn read(text: &str) -> (Upscaler, Option<PathBuf>) {
    let path = Path::new(text);
    let is_file = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    match path.file_stem().and_then(|name| name.to_str()) {
        Some(name) if is_file => (Upscaler::Network(name.to_owned()), Some(path.to_owned())),
        _ => (Upscaler::of_name(text), None),
    }
}

#[cfg(test)]
mod tests {
    use tessera_proto::job::UpscaleFilter;

    use super::*;

    #[test]
    fn names_and_files_are_told_apart() {
        assert_eq!(read("Latent"), (UpscaleFilter::Latent.into(), None));
        assert_eq!(read("4x-anime"), (Upscaler::Network("4x-anime".to_owned()), None));
        let file = (Upscaler::Network("4x.v2".to_owned()), Some(PathBuf::from("nets/4x.v2.onnx")));
        assert_eq!(read("nets/4x.v2.onnx"), file);
        // A file called like a filter is a file all the same.
        assert_eq!(read("lanczos.ONNX").0, Upscaler::Network("lanczos".to_owned()));
    }
}
