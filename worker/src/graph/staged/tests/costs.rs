//! What halos and memory cost, counted from graphs: Stable Diffusion 1.5's decoder by its layout, and the demo model's.
//!
//! One wide halo is computed again by every tile; the other way is to send the rim of every plane to the neighbours at
//! every cut. The tables that these tests print are where the README's figures come from:
//! `cargo test -p tessera-worker costs -- --nocapture`.

use std::sync::LazyLock;

use tessera_proto::Rect;

use super::*;

const DEMO: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/models/demo/vae_decoder/model.onnx"));

/// The layout of Stable Diffusion 1.x: channels of 512, 512, 256 and 128, three blocks at each resolution. Its weights are
/// 200 MB, so it is made once.
static STABLE_DIFFUSION: LazyLock<Staged> = LazyLock::new(|| {
    let recipe = Recipe { levels: vec![512, 512, 256, 128], blocks: 3, groups: 32, ..Recipe::small() };
    cut_of(recipe.decoder())
});

/// What a tile in the middle of a large picture costs.
struct Cost {
    /// Products of its convolutions, by those over its core alone.
    work: f64,
    /// Bytes that it would get from its neighbours at all cuts together, were no halo computed.
    exchanged: u64,
}

fn cost(staged: &Staged, side: u32) -> Cost {
    let section = staged.sections().iter().find(|section| section.extent == Extent::Tiles).unwrap();
    let (start, canvas) = ((512 - side) / 2, Canvas { width: 512, height: 512 });
    let core = Rect::new(start, start, start + side, start + side).unwrap();
    let regions = staged.regions(section, canvas, Core::Input(core)).unwrap();
    let (mut done, mut own, mut exchanged) = (0, 0, 0);
    for index in section.stages.clone() {
        let stage = &staged.stages()[index];
        let weights = stage.model.graph().initializer.iter().filter(|tensor| tensor.dims.len() == 4);
        let weights: u64 = weights.map(|tensor| tensor.dims.iter().product::<i64>().unsigned_abs()).sum();
        let made =
            stage.gives().iter().filter_map(|&plane| Some((regions.held(plane)?, regions.core(plane)?)));
        for (held, core) in made {
            done += weights * held.area();
            own += weights * core.area();
        }
        if index == section.stages.start {
            // It reads what the stages on the whole have made, which every worker has.
            continue;
        }
        let cores = stage.gives().iter().zip(&stage.program.outputs);
        let wanted: Vec<_> =
            cores.map(|(&plane, &value)| (value, regions::area(regions.core(plane).unwrap()))).collect();
        let needs = stage.program.need(&wanted, &regions.lengths[index]);
        for (&plane, need) in stage.planes().iter().zip(needs) {
            let need: i64 = need.iter().map(|span| span.len()).product();
            let rim = need.unsigned_abs().saturating_sub(regions.core(plane).unwrap().area());
            exchanged += rim * staged.planes()[plane].channels as u64 * 4;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let work = done as f64 / own as f64;
    Cost { work, exchanged }
}

#[test]
fn one_wide_halo_costs_less_than_a_network_carries() {
    for (name, staged) in [("Stable Diffusion 1.x", &*STABLE_DIFFUSION), ("demo model", &cut(DEMO))] {
        let mut before = f64::INFINITY;
        for side in [32, 64, 128] {
            let Cost { work, exchanged } = cost(staged, side);
            println!(
                "{name}, cores of {side}: {work:.2} times the core's work; an exchange: {:.1} MB a tile",
                exchanged as f64 / 1e6
            );
            assert!(1.0 < work && work < before, "{name} {side}: {work}");
            assert!(0 < exchanged, "{name} {side}");
            before = work;
        }
    }
}

/// A picture of 4096x4096 px: the stages on the whole latent, keys and values among them, stay under 4 GiB.
#[test]
fn memory_is_counted_before_anything_runs() {
    let peaks = crate::exact::peaks(&STABLE_DIFFUSION);
    println!("Stable Diffusion 1.x:");
    for (side, bytes) in peaks.tiles() {
        println!("a tile with a core of {side} latent px: {} MiB", bytes >> 20);
    }
    let pixels = 512 * 512;
    let whole = pixels * peaks.whole() + peaks.run();
    println!(
        "4096x4096 px: {} MiB in the stages on the whole, {} MiB kept beside tiles",
        whole >> 20,
        (pixels * peaks.kept()) >> 20
    );
    assert!(whole < 4 << 30, "{whole}");
    let demo = crate::exact::peaks(&cut(DEMO));
    for (side, bytes) in demo.tiles() {
        println!("demo model, a tile with a core of {side} latent px: {} MiB", bytes >> 20);
    }
    println!("demo model, 4096x4096 px: {} MiB kept", (pixels * demo.kept()) >> 20);
}
