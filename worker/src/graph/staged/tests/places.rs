//! Halos, cores, pieces and memory.

use proptest::prelude::*;
use tessera_proto::Rect;

use super::*;

fn rect(x0: u32, y0: u32, x1: u32, y1: u32) -> Rect {
    Rect::new(x0, y0, x1, y1).unwrap()
}

/// The blocks of SD 1.5's decoder, with 1 channel for 32.
fn like_sd() -> Recipe {
    Recipe { levels: vec![16, 16, 8, 4], blocks: 3, groups: 1, ..Recipe::small() }
}

/// The halo of a plane for one tile in the middle of a wide picture, in pixels of the plane.
fn halo(staged: &Staged, section: usize, core: Core, plane: usize) -> [u32; 4] {
    let canvas = Canvas { width: 4096, height: 4096 };
    staged.regions(&staged.sections()[section], canvas, core).unwrap().halo(plane).unwrap()
}

/// Counted by hand from the 3x3 convolutions of SD 1.5: a latent before the first, and one for each at the latent's
/// resolution, a half for each at twice that, and so on; 2 in each block.
#[test]
fn halos_of_sds_decoder() {
    let core = Core::Input(rect(1024, 1024, 1088, 1088));
    let staged = cut_of(Recipe { attention: Attention::None, ..like_sd() }.decoder());
    // 1 + 4 + 6 + 7 / 2 + 7 / 4 + 7 / 8 + 1 / 8 and the convolution behind each enlarging: 18 with the first.
    assert_eq!(halo(&staged, 0, core, staged.input()), [18; 4]);
    // Normalisation 4 is the first behind the middle: 13.
    assert_eq!(halo(&staged, 0, core, staged.norms()[4].plane), [13; 4]);
    // The published choice of 11 latents is two short of that.
    let with_attention = cut_of(like_sd().decoder());
    let entry = with_attention.stages()[4].planes()[0];
    assert_eq!(halo(&with_attention, 1, core, entry), [15; 4], "and two for the middle's second block");
    // What the last convolution needs of the picture before it.
    assert_eq!(halo(&with_attention, 1, core, with_attention.norms().last().unwrap().plane), [1; 4]);
}

/// 101 px at the left and top, 108 at the right and bottom: found by changing single pixels of the input of SD 1.5's
/// encoder in torch. Each of the three halvings is run from an even pixel on, behind a convolution that asks for one
/// more at the left: 1 + 2 + 4 px beyond that.
#[test]
fn halos_of_sds_encoder() {
    let recipe = Recipe { attention: Attention::None, blocks: 2, ..like_sd() };
    let staged = cut_of(recipe.encoder());
    let one_latent = Core::Output(rect(200, 200, 201, 201));
    assert_eq!(halo(&staged, 0, one_latent, staged.input()), [101 + 7, 101 + 7, 108, 108]);
}

/// 4096 x 4096 px: the whole latent's section stays under 4 GiB, keys and values included. The network has 1 channel
/// for 32 of SD's, so all but the scores of attention, which belong to another section, take 1/32.
#[test]
fn the_whole_latents_section_fits_into_memory() {
    const SHARE: u64 = 32;
    let staged = cut_of(like_sd().decoder());
    let canvas = Canvas { width: 512, height: 512 };
    let whole = Core::Input(rect(0, 0, 512, 512));
    let regions = staged.regions(&staged.sections()[0], canvas, whole).unwrap();
    let (ample, little) = (staged.peak(&regions, u64::MAX), staged.peak(&regions, (1 << 30) / SHARE));
    let shared = staged.shared_bytes(canvas);
    assert_eq!(shared * SHARE, 2 * 4 * 512 * 512 * 512);
    assert!((little + shared) * SHARE < 4 << 30, "{} bytes", (little + shared) * SHARE);
    assert!(little < ample, "splitting takes less memory: {little}, {ample}");
}

/// Attention in pieces takes what it is given, on a large picture as on a small one.
#[test]
fn attention_is_split_to_fit() {
    let staged = cut_of(like_sd().decoder());
    let memory = 64 << 20;
    for size in [64, 256, 512] {
        let canvas = Canvas { width: size, height: size };
        let regions = staged.regions(&staged.sections()[1], canvas, Core::Input(rect(0, 0, 64, 64))).unwrap();
        let pieces = staged.pieces(&regions, 4, memory);
        let most = pieces.iter().map(|piece| piece.bytes).max().unwrap();
        assert!(most <= memory, "{size}: {most} bytes in a piece");
        let scores = u64::from(size * size) * 4 * pieces[0].outputs[0].kept.area();
        assert!(scores < most, "{size}: the scores alone take {scores} of {most} bytes");
        assert_eq!(pieces.len() == 1, size < 64, "{size}: {} pieces", pieces.len());
    }
}

#[test]
fn a_tile_must_lie_on_a_picture_that_is_large_enough() {
    let staged = cut(ENCODER);
    let section = &staged.sections()[0];
    let canvas = |width, height| Canvas { width, height };
    let error = staged.regions(section, canvas(64, 4), Core::Output(rect(0, 0, 1, 1))).unwrap_err();
    assert_eq!(error.to_string(), "a picture of 64x4 px is too small or too large for this network");
    let error = staged.regions(section, canvas(64, 64), Core::Output(rect(0, 0, 9, 8))).unwrap_err();
    assert_eq!(error.to_string(), "tile [0..9) x [0..8) leaves the picture of 64x64 px");
    assert!(staged.regions(section, canvas(64, 64), Core::Output(rect(0, 0, 8, 8))).is_ok());
}

fn area(rect: Option<Rect>) -> u64 {
    rect.map_or(0, Rect::area)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Four tiles that meet anywhere: on every plane their cores cover the picture once, each lies in what its tile
    /// holds, and the pieces of every stage cover what is held once and need nothing that is not there.
    #[test]
    fn tiles_cover_the_picture(
        decodes in any::<bool>(), width in 9_u32..60, height in 9_u32..60, x in 0_u32..1000, y in 0_u32..1000,
        memory in 10_u32..30,
    ) {
        let staged = if decodes { cut(DECODER) } else { cut(ENCODER) };
        let fine = if decodes { 1 } else { 8 };
        let canvas = Canvas { width: width * fine + 3 * (fine / 8), height: height * fine };
        let (columns, rows) = if decodes { (8 * width, 8 * height) } else { (width, height) };
        let (x, y) = (1 + x % (columns - 1), 1 + y % (rows - 1));
        let whole = rect(0, 0, columns, rows);
        let quarters = [rect(0, 0, x, y), rect(x, 0, columns, y), rect(0, y, x, rows), rect(x, y, columns, rows)];
        for section in staged.sections() {
            let cores = if section.extent == Extent::Whole { vec![whole] } else { quarters.to_vec() };
            let tiles: Vec<Regions> =
                cores.iter().map(|&core| staged.regions(section, canvas, Core::Output(core)).unwrap()).collect();
            for plane in 0..staged.planes().len() {
                let covered: u64 = tiles.iter().map(|tile| area(tile.core(plane))).sum();
                prop_assert_eq!(covered, tiles[0].extent(plane).area());
                for tile in &tiles {
                    let (Some(held), Some(core)) = (tile.held(plane), tile.core(plane)) else { continue };
                    let made = staged.planes()[plane].made_by;
                    let here = made.is_some_and(|made| section.stages.contains(&made));
                    prop_assert!(!here || held.contains(core), "{held:?} without {core:?}");
                    prop_assert!(tile.extent(plane).contains(held));
                }
            }
            for tile in &tiles {
                for stage in section.stages.clone() {
                    let pieces = staged.pieces(tile, stage, 1 << memory);
                    for (position, &plane) in staged.stages()[stage].gives().iter().enumerate() {
                        let kept: u64 = pieces.iter().flat_map(|piece| &piece.outputs)
                            .filter(|output| output.index == plane).map(|output| output.kept.area()).sum();
                        prop_assert_eq!(kept, area(tile.held(plane)), "result {} of stage {}", position, stage);
                    }
                    for piece in &pieces {
                        prop_assert!(piece.outputs.iter().chain(&piece.shared).all(|output| output.made.contains(output.kept)));
                        for (&plane, &input) in staged.stages()[stage].planes().iter().zip(&piece.inputs) {
                            prop_assert!(tile.held(plane).is_some_and(|held| held.contains(input)));
                        }
                    }
                }
            }
        }
    }
}
