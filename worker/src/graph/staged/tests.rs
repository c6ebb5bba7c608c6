//! What networks are cut into, and which are not cut. That the results are right is shown in `tests/staged.rs`, where
//! there is something to run them.

mod costs;
pub(crate) mod nets;
mod places;
mod refusals;

use bytes::Bytes;

use super::{
    super::{onnx::DataLocation, sketch::committed},
    *,
};
use nets::{Attention, Norms, Recipe};

const DECODER: &[u8] = committed!("tiny-sd15/vae_decoder/model.onnx");
const ENCODER: &[u8] = committed!("tiny-sd15/vae_encoder/model.onnx");

fn cut(bytes: &'static [u8]) -> Staged {
    Staged::cut(&Model::parse(Bytes::from_static(bytes)).unwrap()).unwrap()
}

fn cut_of(proto: super::super::onnx::ModelProto) -> Staged {
    Staged::cut(&Model::new(proto).unwrap()).unwrap()
}

/// Stages, normalisations, keys and values, and the sections.
fn shape(staged: &Staged) -> (usize, usize, usize, Vec<(Extent, std::ops::Range<usize>)>) {
    let sections = staged.sections().iter().map(|section| (section.extent, section.stages.clone()));
    (staged.stages().len(), staged.norms().len(), staged.shared().len(), sections.collect())
}

#[test]
fn a_decoder_begins_with_the_whole_and_ends_in_tiles() {
    let staged = cut(DECODER);
    // One stage before each of 22 normalisations, one that ends with keys and values, one that ends with the picture.
    assert_eq!(shape(&staged), (24, 22, 2, vec![(Extent::Whole, 0..4), (Extent::Tiles, 4..24)]));
    assert_eq!((staged.scale().to_string(), staged.planes()[staged.input()].channels), ("8".to_owned(), 4));
    assert_eq!(staged.planes()[staged.output()].name, "sample");
    let attention = &staged.stages()[4];
    assert_eq!(
        (attention.planes().len(), attention.shared_inputs(), attention.applies()),
        (1, [0, 1].as_slice(), [2].as_slice())
    );
    assert_eq!(staged.stages()[3].gives_shared(), [0, 1]);
    assert_eq!(staged.norms()[2].numbers.groups(), 4);
    assert!((staged.norms()[0].numbers.epsilon() - 1e-6).abs() < 1e-12);
}

#[test]
fn an_encoder_begins_in_tiles_and_ends_with_the_whole() {
    let staged = cut(ENCODER);
    let (stages, norms, shared, sections) = shape(&staged);
    assert_eq!((stages, norms, shared), (16, 14, 2));
    // Three resolutions of one block (two normalisations each) and their halving; what has the latent's resolution
    // is left for the whole.
    assert_eq!(sections, [(Extent::Tiles, 0..7), (Extent::Whole, 7..16)]);
    let handed: Vec<&Plane> =
        staged.planes().iter().filter(|plane| plane.made_by < Some(7) && 7 <= plane.read_until).collect();
    let handed: Vec<String> =
        handed.iter().map(|plane| format!("{} at {}", plane.channels, plane.scale)).collect();
    assert_eq!(handed, ["16 at 1/8"]);
    assert_eq!(staged.scale().to_string(), "1/8");
}

#[test]
fn at_most_two_pictures_are_handed_over_at_any_cut() {
    for staged in [cut(DECODER), cut(ENCODER)] {
        for at in 1..staged.stages().len() {
            let crossing = |plane: &&Plane| {
                plane.made_by.is_none_or(|made| made < at) && at <= plane.read_until && plane.read_until != 0
            };
            let count = staged.planes().iter().filter(crossing).count();
            assert!((1..=2).contains(&count), "{count} pictures before stage {at}");
        }
    }
}

/// Stages are sound graphs with the inputs that they say they have, and hold each weight once.
#[test]
fn stages_are_whole_graphs() {
    let recipe = Recipe { norms: Norms::Shared, ..Recipe::small() };
    for staged in
        [cut(DECODER), cut(ENCODER), cut_of(recipe.decoder()), cut_of(nets::in_f16(recipe.encoder()))]
    {
        let mut bytes = 0;
        for stage in staged.stages() {
            for model in [stage.model().clone(), stage.widened()] {
                let facts = Model::parse(Bytes::from(model.encode())).unwrap().facts();
                let mut named: Vec<&str> =
                    stage.planes().iter().map(|&plane| staged.planes()[plane].name.as_str()).collect();
                named.extend(
                    stage.shared_inputs().iter().map(|&shared| staged.shared()[shared].name.as_str()),
                );
                for norm in stage.applies().iter().map(|&norm| &staged.norms()[norm]) {
                    named.extend([norm.scale.as_str(), norm.shift.as_str()]);
                }
                assert_eq!(facts.inputs.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>(), named);
                assert_eq!(facts.outputs.len(), stage.gives().len() + stage.gives_shared().len());
            }
            bytes += stage.model().encode().len();
        }
        assert!(bytes < DECODER.len() * 2, "{bytes} bytes in all stages");
    }
}

#[test]
fn every_spelling_is_cut_alike() {
    let attentions = [
        Attention::Tokens { heads: 1 },
        Attention::Tokens { heads: 4 },
        Attention::Added,
        Attention::Convolved,
    ];
    for norms in [Norms::Instance, Norms::Shared, Norms::ByGroup, Norms::ByChannel] {
        for attention in attentions {
            let recipe = Recipe { norms, attention, ..Recipe::small() };
            let decoder = shape(&cut_of(recipe.decoder()));
            // Middle 2 x 2 + 1, three resolutions of 2, the end 1.
            assert_eq!(
                decoder,
                (14, 12, 2, vec![(Extent::Whole, 0..4), (Extent::Tiles, 4..14)]),
                "{recipe:?}"
            );
            let encoder = shape(&cut_of(recipe.encoder()));
            assert_eq!(
                encoder,
                (14, 12, 2, vec![(Extent::Tiles, 0..5), (Extent::Whole, 5..14)]),
                "{recipe:?}"
            );
        }
        let recipe = Recipe { norms, attention: Attention::None, ..Recipe::small() };
        assert_eq!(shape(&cut_of(recipe.decoder())), (12, 11, 0, vec![(Extent::Tiles, 0..12)]));
        assert_eq!(shape(&cut_of(recipe.encoder())), (12, 11, 0, vec![(Extent::Tiles, 0..12)]));
    }
}

#[test]
fn weights_of_a_normalisation_are_its_own() {
    for norms in [Norms::Instance, Norms::ByGroup, Norms::ByChannel] {
        let staged = cut_of(Recipe { norms, ..Recipe::small() }.decoder());
        let norm = &staged.norms()[0].numbers;
        assert_eq!((norm.channels(), norm.groups()), (8, 2));
        let of_groups = norm.weight()[0] == norm.weight()[3] && norm.weight()[3] != norm.weight()[4];
        assert_eq!(of_groups, norms == Norms::ByGroup, "{norms:?}: {:?}", norm.weight());
        assert!(norm.weight().iter().all(|weight| (0.5..1.5).contains(weight)), "{:?}", norm.weight());
    }
}

/// Weights that lie beside the file cannot be read here: they stay where they are, and so does what reads them.
#[test]
fn weights_beside_the_file_stay_there() {
    let mut proto = Recipe::small().decoder();
    let graph = proto.graph.as_mut().unwrap();
    for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.dims.len() == 3) {
        tensor.raw_data = None;
        tensor.data_location = Some(DataLocation::External.into());
        let entry = |key: &str, value: &str| super::super::onnx::StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        tensor.external_data = vec![entry("location", "weights.pb")];
    }
    let staged = cut_of(proto);
    let norm = &staged.norms()[0].numbers;
    assert_eq!((norm.weight(), norm.bias()), ([1.0; 8].as_slice(), [0.0; 8].as_slice()));
    let files =
        |stage: &Stage| stage.model().external_files().into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(files(&staged.stages()[0]), Vec::<String>::new());
    assert_eq!(files(&staged.stages()[1]), ["weights.pb"]);
}

#[test]
fn a_network_without_normalisations_is_one_stage() {
    let sketch = super::super::sketch::Sketch::default()
        .input("x", super::super::onnx::DataType::Float, &[-1, 3, -1, -1])
        .output("y", super::super::onnx::DataType::Float, &[-1, 3, -1, -1])
        .weight("w", &[3, 3, 1, 1], &[0.1; 9])
        .node("Conv", &["x", "w"], "y");
    assert_eq!(shape(&cut_of(sketch.proto())), (1, 0, 0, vec![(Extent::Tiles, 0..1)]));
}
