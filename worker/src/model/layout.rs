//! Where things lie: a folder in, the paths of its graphs and settings out, all inside the folder.

use std::path::{Path, PathBuf};

use super::Error;
use super::config_file::ConfigFile;
use crate::engine::Network;

/// Pipelines that are Stable Diffusion 1.x or built like it (the UNet's settings tell the rest).
const PIPELINES: [&str; 4] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "OnnxStableDiffusionPipeline",
    "ORTStableDiffusionPipeline",
];

/// Folders that only other architectures have.
const FOREIGN: [(&str, &str); 4] = [
    ("text_encoder_2", "a second text encoder (text_encoder_2/), as Stable Diffusion XL has"),
    ("text_encoder_3", "a third text encoder (text_encoder_3/), as Stable Diffusion 3 has"),
    ("transformer", "a transformer instead of a UNet, as Stable Diffusion 3 and Flux have"),
    ("prior", "a prior, as Kandinsky and Stable Cascade have"),
];

/// Networks that every model needs.
const NEEDED: [(Network, &str); 3] = [
    (Network::TextEncoder, "text_encoder/model.onnx"),
    (Network::Unet, "unet/model.onnx"),
    (Network::VaeDecoder, "vae_decoder/model.onnx"),
];

/// The paths of a model folder.
#[derive(Debug)]
pub(super) struct Layout {
    /// As the caller wrote it, for messages.
    folder: PathBuf,
    /// With all links resolved.
    root: PathBuf,
    graphs: Vec<(Network, PathBuf)>,
}

// === impl Layout ===

impl Layout {
    /// Finds the graphs of a folder, if it is of a kind that we run.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn find(folder: &Path) -> Result<Self, Error> {
        let folder = folder.to_owned();
        if folder.is_file() {
            return Err(Error::IsFile { path: folder });
        }
        if !folder.is_dir() {
            return Err(Error::Absent { folder });
        }
        let root = folder.canonicalize();
        let root = root.map_err(|source| Error::Unreadable { path: folder.clone(), source })?;
        let mut layout = Self { folder, root, graphs: Vec::new() };
        layout.check_kind()?;
        for (network, relative) in NEEDED {
            let graph = layout.inside(relative)?.ok_or_else(|| layout.missing(relative))?;
            layout.graphs.push((network, graph));
        }
        if let Some(graph) = layout.inside("vae_encoder/model.onnx")? {
            layout.graphs.push((Network::VaeEncoder, graph));
        }
        let upscalers = layout.upscalers()?;
        layout.graphs.extend(upscalers);
        Ok(layout)
    }

    /// The folder as the caller wrote it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with all links resolved.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Adds an upscaler from elsewhere.
    pub(super) fn add(&mut self, network: Network, file: PathBuf) {
        self.graphs.push((network, file));
    }

    /// The networks found.
    pub(super) fn graphs(&self) -> &[(Network, PathBuf)] {
        &self.graphs
    }

    /// The file of a network.
    pub(super) fn graph(&self, network: &Network) -> Option<&Path> {
        self.graphs.iter().find(|(name, _)| name == network).map(|(_, file)| file.as_path())
    }

    /// Takes the networks out.
    pub(super) fn into_graphs(self) -> Vec<(Network, PathBuf)> {
        self.graphs
    }

    /// The path of something in the folder, or `None` if it is not there.
    ///
    /// # Errors
    /// It leads out of the folder.
    pub(super) fn inside(&self, relative: &str) -> Result<Option<PathBuf>, Error> {
        let path = self.root.join(relative);
        match path.canonicalize() {
            Ok(target) if target.starts_with(&self.root) => Ok(Some(path)),
            Ok(target) => Err(Error::Outside { path: self.folder.join(relative), target }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Unreadable { path: self.folder.join(relative), source }),
        }
    }

    /// A settings file of the folder.
    ///
    /// # Errors
    /// It is missing or damaged, or leads out of the folder.
    pub(super) fn config(&self, relative: &str) -> Result<ConfigFile, Error> {
        self.inside(relative)?;
        Ok(ConfigFile::read(&self.folder.join(relative))?)
    }

    fn check_kind(&self) -> Result<(), Error> {
        if self.inside("model_index.json")?.is_none() {
            return Err(Error::NoIndex { folder: self.folder.clone() });
        }
        let index = self.config("model_index.json")?;
        let class = index.text("_class_name")?;
        if !PIPELINES.contains(&class) {
            let found = format!("a model of class {:?}", class.chars().take(60).collect::<String>());
            return Err(Error::Architecture { folder: self.folder.clone(), found });
        }
        for (name, found) in FOREIGN {
            if self.inside(name)?.is_some() {
                return Err(Error::Architecture { folder: self.folder.clone(), found: found.to_owned() });
            }
        }
        Ok(())
    }

    /// A graph is not there: because the folder is PyTorch's, or for no reason that can be seen.
    fn missing(&self, relative: &str) -> Error {
        let (folder, missing) = (self.folder.clone(), relative.to_owned());
        let has_weights = |name: &str| {
            let files = std::fs::read_dir(self.root.join(name)).into_iter().flatten().flatten();
            files.map(|file| PathBuf::from(file.file_name())).any(|file| {
                file.extension()
                    .is_some_and(|extension| ["safetensors", "bin", "ckpt"].iter().any(|e| extension == *e))
            })
        };
        if ["text_encoder", "unet", "vae"].into_iter().any(has_weights) {
            Error::PyTorch { folder, missing }
        } else {
            Error::MissingGraph { folder, missing }
        }
    }

    /// The graphs in `upscalers/`, sorted by name.
    fn upscalers(&self) -> Result<Vec<(Network, PathBuf)>, Error> {
        let Some(folder) = self.inside("upscalers")? else {
            return Ok(Vec::new());
        };
        let unreadable = |source| Error::Unreadable { path: folder.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let is_graph = path.extension().is_some_and(|extension| extension == "onnx");
            if is_graph && !name.is_empty() && !name.starts_with('.') {
                self.inside(&format!("upscalers/{name}.onnx"))?;
                found.push((Network::Upscaler(name), path));
            }
        }
        found.sort_by(|(_, a), (_, b)| a.cmp(b));
        Ok(found)
    }
}
