use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tessera_proto::facts::{BetaSchedule, Prediction, UpscalerFacts};

use super::*;
use crate::graph::{Dim, Element, GraphFacts, Model, Slot};

pub(super) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(super) fn tiny() -> PathBuf {
    top().join("tests/models/tiny-sd15")
}

/// A copy of the tiny model, named `model`, to be damaged.
pub(super) struct Copy {
    parent: tempfile::TempDir,
}

impl Copy {
    pub(super) fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let copy = Self { parent };
        copy_tree(&tiny(), &copy.root());
        copy
    }

    pub(super) fn root(&self) -> PathBuf {
        self.parent.path().join("model")
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    /// Changes a field of a settings file; null takes it away.
    fn set(&self, file: &str, field: &str, value: Value) -> &Self {
        let mut content: Value = serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap();
        let fields = content.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(field)
        } else {
            fields.insert(field.to_owned(), value)
        };
        self.write(file, &content.to_string())
    }

    fn write(&self, file: &str, content: &str) -> &Self {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), content).unwrap();
        self
    }

    fn remove(&self, file: &str) -> &Self {
        fs::remove_file(self.path(file)).unwrap();
        self
    }

    fn open(&self) -> Result<ModelFolder, Error> {
        ModelFolder::open(&self.root(), &[], &HashCache::unsaved())
    }

    /// Why it is refused, with the folder's path as MODEL.
    fn refusal(&self) -> String {
        self.open().unwrap_err().to_string().replace(&self.root().display().to_string(), "MODEL")
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn graph_of(folder: &ModelFolder, network: &Network) -> GraphFacts {
    let file = fs::read(folder.graph(network).unwrap()).unwrap();
    Model::parse(file.into()).unwrap().facts()
}

#[test]
fn the_tiny_model_fits() {
    let folder = ModelFolder::open(&tiny(), &[], &HashCache::unsaved()).unwrap();
    let facts = folder.facts();
    assert_eq!((facts.name.as_str(), facts.latent_channels, facts.vae_scale), ("tiny-sd15", 4, 8));
    assert_eq!((facts.sample_size, facts.latent_multiple, facts.embedding_width), (32, 8, 32));
    assert_eq!((facts.prediction, facts.beta_schedule), (Prediction::Epsilon, BetaSchedule::ScaledLinear));
    assert_eq!((facts.beta_start, facts.beta_end, facts.num_train_timesteps), (0.00085, 0.012, 1000));
    let upscaler =
        UpscalerFacts { name: "tiny-rrdbnet-x4".to_owned(), scale: 4, radius: Some(34), multiple: 1 };
    assert_eq!((facts.encodes_images, facts.upscalers.as_slice()), (true, &[upscaler][..]));
    assert_eq!(folder.vocab_size(), 782);
    assert!(folder.tokenizer().join("merges.txt").is_file());
    for (network, file) in folder.graphs() {
        check::graph(file, network, &graph_of(&folder, network), facts).unwrap();
    }
    assert_eq!(folder.graphs().len(), 5);
}

#[test]
fn the_demo_model_fits() {
    let folder = ModelFolder::open(&top().join("deploy/models/demo"), &[], &HashCache::unsaved()).unwrap();
    let facts = folder.facts();
    assert_eq!((facts.sample_size, facts.latent_multiple, facts.embedding_width), (16, 4, 64));
    assert!((0.1..1.0).contains(&facts.scaling_factor), "scaling factor {}", facts.scaling_factor);
    for (network, file) in folder.graphs() {
        check::graph(file, network, &graph_of(&folder, network), facts).unwrap();
    }
}

#[test]
fn the_hash_follows_the_model_and_nothing_else() {
    let copy = Copy::new();
    let hash = copy.open().unwrap().facts().hash;
    assert_eq!(hash, ModelFolder::open(&tiny(), &[], &HashCache::unsaved()).unwrap().facts().hash);
    copy.write("README.md", "words").write("unet/.hidden", "x").write("samples/a.png", "x");
    assert_eq!(copy.open().unwrap().facts().hash, hash);
    copy.write("unet/model.onnx_data", "weights");
    let with_data = copy.open().unwrap().facts().hash;
    assert_ne!(with_data, hash);
    copy.write("unet/model.onnx_data", "Weights");
    assert_ne!(copy.open().unwrap().facts().hash, with_data);
}

#[test]
fn what_older_files_leave_out_has_diffusers_default() {
    let copy = Copy::new();
    copy.set("vae_decoder/config.json", "scaling_factor", Value::Null);
    copy.set("vae_decoder/config.json", "latent_channels", Value::Null);
    copy.set("scheduler/scheduler_config.json", "prediction_type", Value::Null);
    copy.set("scheduler/scheduler_config.json", "num_train_timesteps", Value::Null);
    copy.set("unet/config.json", "sample_size", json!([24, 24])).remove("vae_encoder/model.onnx");
    let folder = copy.open().unwrap();
    let facts = folder.facts();
    assert_eq!((facts.scaling_factor, facts.prediction), (0.18215, Prediction::Epsilon));
    assert_eq!((facts.num_train_timesteps, facts.sample_size, facts.encodes_images), (1000, 24, false));
    assert_eq!(folder.graph(&Network::VaeEncoder), None);

    copy.set("scheduler/scheduler_config.json", "prediction_type", json!("v_prediction"));
    assert_eq!(copy.open().unwrap().facts().prediction, Prediction::V);
}

#[test]
fn a_folder_of_another_kind_gets_its_sentence() {
    let open = |path: &Path| ModelFolder::open(path, &[], &HashCache::unsaved()).unwrap_err().to_string();
    assert_eq!(open(Path::new("/no/such/model")), "model folder /no/such/model does not exist");
    let file = open(&tiny().join("model_index.json"));
    assert!(
        file.ends_with("is a file, not a model folder: turn a checkpoint into one with deploy/export-model")
    );
    assert_eq!(
        Copy::new().remove("model_index.json").refusal(),
        "MODEL is no model folder: it has no model_index.json"
    );
    assert_eq!(
        Copy::new().set("model_index.json", "_class_name", json!("StableDiffusionXLPipeline")).refusal(),
        "model folder MODEL holds a model of class \"StableDiffusionXLPipeline\", but only Stable Diffusion 1.x is supported"
    );
    assert!(
        Copy::new().write("text_encoder_2/model.onnx", "").refusal().contains("as Stable Diffusion XL has")
    );
    assert!(Copy::new().write("transformer/model.onnx", "").refusal().contains("Flux"));
    assert_eq!(Copy::new().remove("unet/model.onnx").refusal(), "model folder MODEL has no unet/model.onnx");
    let torch = Copy::new();
    torch.remove("unet/model.onnx").write("unet/diffusion_pytorch_model.safetensors", "");
    assert_eq!(
        torch.refusal(),
        "model folder MODEL holds PyTorch weights, but no unet/model.onnx: turn it into an ONNX folder with deploy/export-model"
    );
}

#[test]
fn each_bad_setting_is_named_with_its_file_and_field() {
    let (unet, vae) = ("unet/config.json", "vae_decoder/config.json");
    let scheduler = "scheduler/scheduler_config.json";
    let with = |file: &str, field: &str, value: Value| Copy::new().set(file, field, value).refusal();
    assert_eq!(Copy::new().remove(unet).refusal(), "MODEL/unet/config.json is missing");
    assert!(
        Copy::new()
            .write(vae, "{\"a\":")
            .refusal()
            .starts_with("MODEL/vae_decoder/config.json is damaged: EOF")
    );
    assert_eq!(
        Copy::new().write(unet, "[]").refusal(),
        "MODEL/unet/config.json is damaged: it holds no JSON object"
    );
    assert_eq!(
        with(unet, "sample_size", Value::Null),
        "MODEL/unet/config.json lacks the field \"sample_size\", a whole number or two equal ones, the latent's side at training"
    );
    assert_eq!(
        with(scheduler, "beta_start", json!("0.1")),
        "MODEL/scheduler/scheduler_config.json: field \"beta_start\" is \"0.1\", must be a number"
    );
    assert_eq!(
        with(unet, "addition_embed_type", json!("text_time")),
        "MODEL/unet/config.json: field \"addition_embed_type\" is \"text_time\", must be null: only Stable Diffusion 1.x is supported"
    );
    assert_eq!(
        with(unet, "cross_attention_dim", json!(1024)),
        "MODEL: cross_attention_dim of unet/config.json is 1024, but hidden_size of text_encoder/config.json is 32"
    );
}

#[test]
fn settings_out_of_bounds_or_of_other_models_are_refused() {
    let (unet, vae) = ("unet/config.json", "vae_decoder/config.json");
    let scheduler = "scheduler/scheduler_config.json";
    let with = |file: &str, field: &str, value: Value| Copy::new().set(file, field, value).refusal();
    assert!(
        with(unet, "in_channels", json!(9))
            .contains("in_channels of unet/config.json is 9, but latent_channels")
    );
    assert!(
        with(unet, "sample_size", json!([32, 48]))
            .contains("is [32,48], must be a whole number or two equal")
    );
    assert!(with(unet, "sample_size", json!(-1)).contains("\"sample_size\" is -1"));
    assert!(
        with(unet, "block_out_channels", json!([])).contains("\"block_out_channels\" is [], must be a list")
    );
    assert!(
        with(unet, "block_out_channels", json!(vec![1; 40]))
            .contains("latent_multiple is 4294967295, must be 1 to 256")
    );
    assert!(with(vae, "scaling_factor", json!(-1)).contains("scaling_factor is -1, must be above 0"));
    assert!(with(vae, "shift_factor", json!(0.1)).contains("\"shift_factor\" is 0.1, must be null"));
    assert!(with(scheduler, "beta_schedule", json!("cosine")).contains("\"cosine\", must be \"linear\" or"));
    assert!(
        with(scheduler, "prediction_type", json!("sample")).contains("\"sample\", must be \"epsilon\" or")
    );
    assert!(
        with(scheduler, "rescale_betas_zero_snr", json!(true)).contains("infinite noise is not supported")
    );
    assert!(
        with("text_encoder/config.json", "max_position_embeddings", json!(248))
            .contains("is 248, must be 77")
    );
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    let copy = Copy::new();
    copy.remove("unet/model.onnx");
    std::os::unix::fs::symlink(tiny().join("unet/model.onnx"), copy.path("unet/model.onnx")).unwrap();
    let message = copy.refusal();
    assert!(message.starts_with("MODEL/unet/model.onnx is a link to "), "{message}");
    assert!(message.ends_with("outside of the model folder: put the file itself there"), "{message}");

    let copy = Copy::new();
    copy.write("weights/unet.onnx", "x").remove("unet/model.onnx");
    std::os::unix::fs::symlink("../weights/unet.onnx", copy.path("unet/model.onnx")).unwrap();
    assert!(copy.open().is_ok(), "a link that stays inside is a file like any other");
}

fn slot(name: &str, element: Element, dims: &[u64]) -> Slot {
    let dim = |&length: &u64| {
        if length == 0 { Dim::Free("n".into()) } else { Dim::Fixed(length) }
    };
    Slot { name: name.to_owned(), element, dims: Some(dims.iter().map(dim).collect()) }
}

#[test]
fn graphs_of_older_exporters_fit_and_foreign_ones_do_not() {
    let facts = ModelFacts::simulated();
    let old = GraphFacts {
        inputs: vec![
            slot("sample", Element::F16, &[0, 4, 0, 0]),
            slot("timestep", Element::I64, &[0]),
            slot("encoder_hidden_states", Element::F16, &[0, 0, 768]),
        ],
        outputs: vec![slot("out_sample", Element::F16, &[0, 4, 0, 0])],
    };
    let refusal = |change: &dyn Fn(&mut GraphFacts)| {
        let mut graph = old.clone();
        change(&mut graph);
        check::graph(Path::new("unet/model.onnx"), &Network::Unet, &graph, &facts)
            .map_err(|error| error.to_string())
    };
    assert_eq!(refusal(&|_| {}), Ok(()));
    assert_eq!(refusal(&|graph| graph.inputs[1] = slot("timestep", Element::F32, &[])), Ok(()));
    assert_eq!(refusal(&|graph| graph.inputs[0].dims = None), Ok(()));
    assert_eq!(
        refusal(&|graph| graph.inputs[2] = slot("encoder_hidden_states", Element::F32, &[0, 0, 1024]))
            .unwrap_err(),
        "unet/model.onnx does not fit: its input encoder_hidden_states: f32 [n, n, 1024] must have length 768 in dimension 2"
    );
    assert_eq!(
        refusal(&|graph| graph.inputs.push(slot("time_ids", Element::F32, &[0, 6]))).unwrap_err(),
        "unet/model.onnx does not fit: it needs the input time_ids: f32 [n, 6], which Stable Diffusion 1.x does not have"
    );
    let lacking = refusal(&|graph| drop(graph.inputs.remove(1))).unwrap_err();
    assert!(
        lacking.contains("it lacks the input \"timestep\", it takes sample: f16 [n, 4, n, n]; enc"),
        "{lacking}"
    );
    assert!(
        refusal(&|graph| graph.inputs[0].element = Element::I64)
            .unwrap_err()
            .contains("must hold f32 or f16")
    );
    assert!(
        refusal(&|graph| graph.inputs[1].dims = Some(vec![Dim::Fixed(1); 2]))
            .unwrap_err()
            .contains("0 or 1 dim")
    );
    assert!(refusal(&|graph| graph.outputs.clear()).unwrap_err().contains("it has no output"));

    let sampled = GraphFacts {
        inputs: vec![slot("sample", Element::F32, &[0, 3, 0, 0])],
        outputs: vec![slot("latent_sample", Element::F32, &[0, 4, 0, 0])],
    };
    let file = Path::new("vae_encoder/model.onnx");
    assert!(check::graph(file, &Network::VaeEncoder, &sampled, &facts).is_ok());
    let decoder = check::graph(file, &Network::VaeDecoder, &sampled, &facts).unwrap_err().to_string();
    assert!(decoder.contains("must have length 4 in dimension 1"), "{decoder}");
}

#[test]
fn hashes_of_large_settled_files_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (home, file) = (folder.path().join("home"), folder.path().join("weights"));
    let age = |file: &Path, seconds| {
        let changed = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        fs::File::options().append(true).open(file).unwrap().set_modified(changed).unwrap();
    };
    fs::write(&file, vec![1; 2 << 20]).unwrap();
    age(&file, 60);
    let cache = HashCache::in_folder(&home);
    let first = cache.of_file(&file).unwrap();
    assert_eq!(first, *blake3::hash(&vec![1; 2 << 20]).as_bytes());
    cache.save();

    // Other contents behind the same size and time: only a hash that was not computed again can be equal.
    let changed = file.metadata().unwrap().modified().unwrap();
    fs::write(&file, vec![2; 2 << 20]).unwrap();
    fs::File::options().append(true).open(&file).unwrap().set_modified(changed).unwrap();
    assert_eq!(HashCache::in_folder(&home).of_file(&file).unwrap(), first);
    assert_ne!(HashCache::unsaved().of_file(&file).unwrap(), first);

    age(&file, 30);
    let fresh = HashCache::in_folder(&home).of_file(&file).unwrap();
    assert_eq!(fresh, *blake3::hash(&vec![2; 2 << 20]).as_bytes());

    age(&file, 0);
    let cache = HashCache::in_folder(&home);
    cache.of_file(&file).unwrap();
    cache.save();
    let memory = fs::read_to_string(home.join("model-hashes.json")).unwrap();
    assert!(!memory.contains(&blake3::hash(&vec![2; 2 << 20]).to_hex().to_string()), "unsettled: {memory}");
}

#[test]
fn a_damaged_or_unwritable_memory_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model-hashes.json"), "{\"a\": 1").unwrap();
    let hash = ModelFolder::open(&tiny(), &[], &HashCache::in_folder(folder.path())).unwrap().facts().hash;
    let nowhere = HashCache::in_folder(&folder.path().join("model-hashes.json/below"));
    assert_eq!(ModelFolder::open(&tiny(), &[], &nowhere).unwrap().facts().hash, hash);
}
