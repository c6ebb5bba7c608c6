//! Staged networks on ONNX Runtime: pictures in tiles of many sizes against float64, against the whole, against each
//! other. These tests need the library, and fail with the sentence that says how to get it.

#![cfg(test)]

#[path = "staged/graph.rs"]
mod graph;
#[path = "../src/graph/staged/tests/nets.rs"]
mod nets;
#[path = "staged/rig.rs"]
mod rig;

use std::path::{Path, PathBuf};

use tessera_proto::Tensor;
use tessera_worker::{engine::Network, graph::Model};

use nets::{Attention, Norms, Recipe};
use rig::{Golden, Rig, distance, scene};

/// Largest difference from float64.
const EXACT: f32 = 2e-5;

/// Largest difference between two tile sizes.
const ALIKE: f32 = 5e-6;

/// Largest difference from the untiled run, whose own normalisations are further from float64 than that.
const UNTILED: f32 = 3e-4;

/// Memory of one run of a stage where nothing has to be split.
const AMPLE: u64 = 1 << 40;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Results of one input in tiles of several sizes: each near `exact`, where that is known, and all alike.
fn check(rig: &mut Rig, input: &Tensor, tiles: &[u32], exact: impl Fn(&Tensor) -> f32) {
    let untiled = rig.untiled(input);
    let mut first: Option<Tensor> = None;
    for &tile in tiles {
        let result = rig.tiled(input, tile, AMPLE);
        assert_eq!(result.shape(), untiled.shape());
        let (from_exact, from_untiled) = (exact(&result), distance(&result, &untiled));
        let alike = first.as_ref().map_or(0.0, |first| distance(first, &result));
        println!(
            "{:?} tile {tile}: from float64 {from_exact:.1e} (untiled {:.1e}), from untiled {from_untiled:.1e}, \
             from the first {alike:.1e}",
            input.shape(),
            exact(&untiled)
        );
        assert!(from_exact <= EXACT, "tile {tile} is {from_exact} from float64");
        assert!(from_untiled <= UNTILED, "tile {tile} is {from_untiled} from the untiled run");
        assert!(alike <= ALIKE, "tile {tile} is {alike} from the first tile size");
        first.get_or_insert(result);
    }
}

#[test]
fn a_tiny_decoder_is_exact_in_any_tiles() {
    let mut rig = Rig::new(Network::VaeDecoder, &root("tests/models/tiny-sd15/vae_decoder/model.onnx"));
    let golden = Golden::open(&root("tests/oracle/golden/tiled_vae.safetensors"));
    for (size, tiles) in [("48x72", [72, 24, 17, 64]), ("37x53", [53, 16, 11, 32])] {
        let picture = golden.tensor(&format!("decode.{size}.picture"));
        let latent = golden.tensor(&format!("decode.{size}.latent"));
        check(&mut rig, &latent, &tiles, |result| distance(&rig::every(result, 5), &picture));
    }
}

#[test]
fn a_tiny_encoder_is_exact_in_any_tiles() {
    let mut rig = Rig::new(Network::VaeEncoder, &root("tests/models/tiny-sd15/vae_encoder/model.onnx"));
    let golden = Golden::open(&root("tests/oracle/golden/tiled_vae.safetensors"));
    let moments = golden.tensor("encode.264x328.moments");
    check(&mut rig, &scene(264, 328), &[41, 16, 13, 24], |result| distance(result, &moments));
}

#[test]
fn the_demo_decoder_is_as_near_to_the_untiled_one_as_that_is_to_the_truth() {
    let mut rig = Rig::new(Network::VaeDecoder, &root("deploy/models/demo/vae_decoder/model.onnx"));
    let golden = Golden::open(&root("tests/oracle/golden/tiled_vae.safetensors"));
    check(&mut rig, &golden.tensor("decode.37x53.latent"), &[53, 16, 32], |_| 0.0);
}

#[test]
fn the_demo_encoder_is_as_near_to_the_untiled_one_as_that_is_to_the_truth() {
    let mut rig = Rig::new(Network::VaeEncoder, &root("deploy/models/demo/vae_encoder/model.onnx"));
    check(&mut rig, &scene(200, 264), &[33, 8, 13], |_| 0.0);
}

/// Stages split into runs of little memory, each row of queries by itself where it must be, give the same picture.
#[test]
fn little_memory_changes_the_runs_and_not_the_picture() {
    let golden = Golden::open(&root("tests/oracle/golden/tiled_vae.safetensors"));
    for (network, file, input) in [
        (Network::VaeDecoder, "vae_decoder", golden.tensor("decode.37x53.latent")),
        (Network::VaeEncoder, "vae_encoder", scene(264, 328)),
    ] {
        let mut rig = Rig::new(network, &root(&format!("tests/models/tiny-sd15/{file}/model.onnx")));
        let ample = rig.tiled(&input, 20, AMPLE);
        let runs = rig.runs();
        let little = rig.tiled(&input, 20, 1 << 19);
        assert!(2 * runs < rig.runs() - runs, "{} runs, {runs} with ample memory", rig.runs() - runs);
        let distance = distance(&ample, &little);
        println!("{file}: {runs} runs, {} of little memory: differ by {distance:.1e}", rig.runs() - runs);
        assert!(distance <= ALIKE, "{file}: differs by {distance}");
    }
}

/// Every spelling of normalisation and attention that is understood, as decoder and as encoder.
#[test]
fn small_networks_in_every_spelling_are_exact() {
    let attentions = [
        Attention::None,
        Attention::Tokens { heads: 1 },
        Attention::Tokens { heads: 4 },
        Attention::Added,
        Attention::Convolved,
    ];
    for norms in [Norms::Instance, Norms::Shared, Norms::ByGroup, Norms::ByChannel] {
        for attention in attentions {
            let recipe = Recipe { norms, attention, ..Recipe::small() };
            for (network, proto, input) in [
                (Network::VaeDecoder, recipe.decoder(), rig::waves([1, 4, 23, 18])),
                (Network::VaeEncoder, recipe.encoder(), rig::waves([1, 3, 76, 92])),
            ] {
                let model = Model::new(proto).unwrap();
                let mut rig =
                    Rig::of(network, &model, |staged, stage| staged.stages()[stage].model().encode());
                let untiled = rig.untiled(&input);
                let (whole, tiled) = (rig.tiled(&input, 64, AMPLE), rig.tiled(&input, 7, AMPLE));
                let (apart, alike) = (distance(&tiled, &untiled), distance(&whole, &tiled));
                println!("{norms:?} {attention:?}: from untiled {apart:.1e}, from one tile {alike:.1e}");
                assert!(apart <= UNTILED && alike <= ALIKE, "{norms:?} {attention:?}: {apart}, {alike}");
            }
        }
    }
}

/// In f16 the stages differ from the whole by what f16 rounds (values reach 3.3, and a random network enlarges every
/// rounding); widened they compute what f32 does with these weights, as ONNX Runtime does with the whole on a processor.
#[test]
fn networks_in_f16_run_and_can_be_widened() {
    let proto = nets::in_f16(Recipe::small().decoder());
    let model = Model::new(proto).unwrap();
    let latent = rig::waves([1, 4, 23, 18]);
    let mut half =
        Rig::of(Network::VaeDecoder, &model, |staged, stage| staged.stages()[stage].model().encode());
    let (untiled, tiled) = (half.untiled(&latent), half.tiled(&latent, 7, AMPLE));
    let mut wide =
        Rig::of(Network::VaeDecoder, &model, |staged, stage| staged.stages()[stage].widened().encode());
    let (one, many) = (wide.tiled(&latent, 64, AMPLE), wide.tiled(&latent, 7, AMPLE));
    let [rounding, widening, alike] =
        [distance(&untiled, &tiled), distance(&untiled, &many), distance(&one, &many)];
    println!("f16: tiles from the whole {rounding:.1e}; widened {widening:.1e}, its tiles {alike:.1e}");
    assert!(rounding <= 0.1, "tiles differ by {rounding}");
    assert!(1e-5 < widening && widening <= 2e-2, "widened stages differ by {widening}");
    assert!(alike <= ALIKE, "widened tiles differ by {alike}");
}

/// What all of this is for: tiles that each run the whole network are far from the picture.
#[test]
fn tiles_by_themselves_are_no_picture() {
    let mut rig = Rig::new(Network::VaeDecoder, &root("tests/models/tiny-sd15/vae_decoder/model.onnx"));
    let golden = Golden::open(&root("tests/oracle/golden/tiled_vae.safetensors"));
    let latent = golden.tensor("decode.48x72.latent");
    let whole = rig.untiled(&latent);
    let left = rig.untiled(&rig::columns(&latent, 0..36));
    let apart = distance(&rig::columns(&whole, 0..288), &left);
    assert!(0.1 < apart, "half of the latent decodes to half of the picture, off by {apart} only");
}

/// Attention in a stage of its own is left in the spelling that can be fused.
#[test]
fn one_stage_holds_the_attention_and_is_fused() {
    for network in ["tests/models/tiny-sd15", "deploy/models/demo"] {
        for (kind, folder) in [(Network::VaeDecoder, "vae_decoder"), (Network::VaeEncoder, "vae_encoder")] {
            let mut rig = Rig::new(kind, &root(&format!("{network}/{folder}/model.onnx")));
            assert_eq!((rig.fused(), rig.left()), (1, 0), "{network}/{folder}");
        }
    }
}

/// A core may begin and end at any pixel of the result.
#[test]
fn cores_may_end_anywhere_in_the_result() {
    let mut rig = Rig::new(Network::VaeDecoder, &root("tests/models/tiny-sd15/vae_decoder/model.onnx"));
    let golden = Golden::open(&root("tests/oracle/golden/tiled_vae.safetensors"));
    let latent = golden.tensor("decode.37x53.latent");
    let (aligned, odd) = (rig.tiled(&latent, 24, AMPLE), rig.tiled_in_results(&latent, [139, 1, 157], AMPLE));
    let distance = distance(&aligned, &odd);
    println!("cores of odd pixels differ by {distance:.1e}");
    assert!(distance <= ALIKE, "differs by {distance}");
}
