//! A toy decoder of two normalisations, run tile by tile in any order, against the same on the whole canvas.

use proptest::prelude::*;
use tessera_proto::{GroupNorm, job::Size};

use super::*;
use crate::render::surface::Painted;

const SCALE: u32 = 2;

/// Normalise, square, normalise; then every px twice as large. What a worker would run for one tile.
fn toy(work: &Work, source: &Tensor) -> Answer {
    let Work::Advance { core, known, .. } = work else { panic!("another kind of work") };
    let norm = GroupNorm::new(1, 1e-6, vec![0.7, 0.8, 0.9], vec![0.1, 0.2, 0.3]).unwrap();
    let (width, height) = (core.width() as usize, core.height() as usize);
    let columns = source.shape()[3];
    let mut x: Vec<f32> = (0..3 * height)
        .flat_map(|row| {
            let (channel, y) = (row / height, row % height + core.y0() as usize);
            let start = (channel * source.shape()[2] + y) * columns + core.x0() as usize;
            source.data()[start..][..width].to_vec()
        })
        .collect();
    for barrier in 0..2 {
        let picture = Tensor::new([1, 3, height, width], x.clone()).unwrap();
        let Some(moments) = known.get(barrier) else {
            let all = Rect::new(0, 0, core.width(), core.height()).unwrap();
            return Answer::Moments(Moments::of(&picture, all).unwrap().grouped(1).unwrap());
        };
        let affine = norm.affine(moments).unwrap();
        for (index, value) in x.iter_mut().enumerate() {
            let channel = index / (width * height);
            *value = (*value * affine.scale[channel] + affine.shift[channel])
                .powi(2 - i32::try_from(barrier).unwrap());
        }
    }
    let twice = |index: usize| {
        let (column, row) = (index % (2 * width), index / (2 * width));
        x[row / 2 * width + column / 2]
    };
    let values = (0..x.len() * 4).map(twice).collect();
    Answer::Tensors(vec![Tensor::new([1, 3, 2 * height, 2 * width], values).unwrap()])
}

fn plan((width, height): (u32, u32), parts: (u32, u32)) -> ExactPlan {
    let edges = |length: u32, parts: u32| {
        (0..parts).map(move |part| (length * part / parts, length * (part + 1) / parts))
    };
    let rows = edges(height, parts.1);
    let cores = rows
        .flat_map(|y| edges(width, parts.0).map(move |x| Rect::new(x.0, y.0, x.1, y.1).unwrap()))
        .collect();
    let peaks = Arc::default();
    ExactPlan {
        canvas: Size { width, height },
        cores,
        barriers: 2,
        estimate: None,
        halo: 0,
        scale: SCALE,
        peaks,
    }
}

fn latent(width: u32, height: u32) -> Vec<f32> {
    (0..3 * width * height).map(|index| ((index * 7919) % 101) as f32 / 101.0 - 0.3).collect()
}

/// Decodes with answers arriving in the order that `next` picks among the open tiles.
fn decode(size: (u32, u32), parts: (u32, u32), mut next: impl FnMut(usize) -> usize) -> Vec<f32> {
    let mut exact = Exact::new(plan(size, parts), latent(size.0, size.1), Vec::new()).unwrap();
    let mut surface = Surface::passing(Size { width: SCALE * size.0, height: SCALE * size.1 }, true).unwrap();
    let (_, source) = exact.source();
    let source = Arc::clone(source);
    loop {
        let mut open: Vec<u32> = (0..u32::try_from(exact.tiles()).unwrap()).collect();
        loop {
            let tile = TileIndex(open.remove(next(open.len())));
            let answer = toy(&exact.work(tile), &source);
            assert!(exact.fits(tile, &answer));
            match exact.complete(tile, answer, &mut surface).unwrap() {
                Step::Wait => {}
                Step::Advance => break assert!(open.is_empty(), "all go on together"),
                Step::Done => {
                    let Painted::File(Some(image)) = surface.finish() else { panic!("it was to be kept") };
                    return image;
                }
            }
        }
    }
}

#[test]
fn any_cut_gives_the_untiled_picture() {
    let whole = decode((13, 9), (1, 1), |_| 0);
    for parts in [(2, 1), (3, 2), (13, 9)] {
        let cut = decode((13, 9), parts, |_| 0);
        let error = whole.iter().zip(&cut).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-6, "{parts:?}: {error}");
    }
}

#[test]
fn answers_of_another_kind_or_shape_do_not_fit() {
    let exact = Exact::new(plan((8, 4), (2, 1)), latent(8, 4), Vec::new()).unwrap();
    let pixels =
        |height| Answer::Tensors(vec![Tensor::new([1, 3, height, 8], vec![0.0; 24 * height]).unwrap()]);
    assert!(!exact.fits(TileIndex(0), &pixels(8)), "its statistics are not known yet");
    assert!(!exact.fits(TileIndex(0), &Answer::Moments(Moments::empty(1))), "no pixel was counted");
    let alone = Exact::new(plan((4, 4), (1, 1)), latent(4, 4), Vec::new()).unwrap();
    assert!(alone.fits(TileIndex(0), &pixels(8)), "one tile knows all statistics itself");
    assert!(!alone.fits(TileIndex(0), &pixels(4)));
}

proptest! {
    #[test]
    fn the_order_of_answers_leaves_no_trace(picks in proptest::collection::vec(0_usize..100, 36)) {
        let mut picks = picks.into_iter();
        let shuffled = decode((10, 7), (4, 3), |open| picks.next().unwrap_or(0) % open);
        let in_order = decode((10, 7), (4, 3), |_| 0);
        prop_assert_eq!(shuffled, in_order);
    }
}
