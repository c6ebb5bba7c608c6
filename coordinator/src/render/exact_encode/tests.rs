//! A toy encoder of two normalisations whose last part looks at all of it, run tile by tile in any order, against the same
//! on the whole picture.

use proptest::prelude::*;
use tessera_proto::GroupNorm;

use super::*;
use crate::canvas::{Cores, CoresRequest};

const SCALE: u32 = 8;

/// How far the toy looks, px.
const HALO: u32 = 8;

/// Channels of the toy's latents.
const CHANNELS: usize = 2;

/// Normalise; differ from the px `HALO` to the left, where there is one; normalise; the first px of each block.
fn tile(work: &Work, sources: &[Arc<Tensor>]) -> Answer {
    let Work::Advance { part, sources: places, core, known, canvas } = work else { panic!("another work") };
    if *part == Part::EncoderEnd {
        return Answer::Tensors(vec![end(places, sources)]);
    }
    let ([source], [tensor]) = (places.as_slice(), sources) else { panic!("one source") };
    let norm = |weight: f32| GroupNorm::new(1, 1e-6, vec![weight; 3], vec![0.1, 0.2, 0.3]).unwrap();
    let place = source.place;
    let (width, height) = (place.width() as usize, place.height() as usize);
    let within = Rect::new(
        core.x0() - place.x0(),
        core.y0() - place.y0(),
        core.x1() - place.x0(),
        core.y1() - place.y0(),
    )
    .unwrap();
    let alone = core.area() == u64::from(canvas.width) * u64::from(canvas.height);
    let mut x = tensor.data().to_vec();
    for barrier in 0..2 {
        let picture = Tensor::new([1, 3, height, width], x.clone()).unwrap();
        let own = Moments::of(&picture, within).unwrap().grouped(1).unwrap();
        let moments = match known.get(barrier) {
            Some(moments) => moments,
            None if alone => &own,
            None => return Answer::Moments(own),
        };
        let affine = norm(0.7).affine(moments).unwrap();
        for (index, value) in x.iter_mut().enumerate() {
            let channel = index / (width * height);
            *value = *value * affine.scale[channel] + affine.shift[channel];
        }
        if barrier == 0 {
            let before = x.clone();
            for (index, value) in x.iter_mut().enumerate() {
                let reach = HALO as usize;
                *value -= if reach <= index % width { 0.5 * before[index - reach] } else { 0.0 };
            }
        }
    }
    let (columns, rows) = ((core.width() / SCALE) as usize, (core.height() / SCALE) as usize);
    let first = |index: usize| {
        let (channel, row, column) = (index / (rows * columns), index / columns % rows, index % columns);
        let (y, x0) = (within.y0() as usize + 8 * row, within.x0() as usize + 8 * column);
        x[(channel * height + y) * width + x0]
    };
    let made = Tensor::new([1, 3, rows, columns], (0..3 * rows * columns).map(first).collect()).unwrap();
    if !alone {
        return Answer::Tensors(vec![made]);
    }
    let place = Rect::new(0, 0, core.width() / SCALE, core.height() / SCALE).unwrap();
    let source = Source { place, digest: Digest::of(&made) };
    Answer::Tensors(vec![end(&[source], &[Arc::new(made)])])
}

/// Each px less the mean of all, in two channels, and log variances of 9.
fn end(places: &[Source], sources: &[Arc<Tensor>]) -> Tensor {
    let width = places.iter().map(|source| source.place.x1()).max().unwrap() as usize;
    let height = places.iter().map(|source| source.place.y1()).max().unwrap() as usize;
    let mut whole = vec![f32::NAN; CHANNELS * height * width];
    for (Source { place, .. }, tensor) in places.iter().zip(sources) {
        let (columns, rows) = (place.width() as usize, place.height() as usize);
        for (index, value) in tensor.data().iter().take(CHANNELS * rows * columns).enumerate() {
            let (channel, y, x) = (index / (rows * columns), index / columns % rows, index % columns);
            whole[(channel * height + place.y0() as usize + y) * width + place.x0() as usize + x] = *value;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a small picture")]
    let mean = whole.iter().sum::<f32>() / whole.len() as f32;
    let mut moments: Vec<f32> = whole.iter().map(|value| value - mean).collect();
    moments.resize(2 * moments.len(), 9.0);
    Tensor::new([1, 2 * CHANNELS, height, width], moments).unwrap()
}

fn picture(width: u32, height: u32) -> Picture {
    let bytes = (0..3 * width * height).map(|index| u8::try_from((index * 7919) % 251).unwrap());
    Picture::new(width, height, bytes.collect()).unwrap()
}

fn begun(size: (u32, u32), side: u32) -> ExactEncode {
    let request = CoresRequest { canvas: size, tile: side, halo: HALO, multiple: SCALE };
    let plan = ExactEncodePlan {
        halo: HALO,
        canvas: Size { width: size.0, height: size.1 },
        tiles: Arc::new(Cores::new(request).unwrap()),
        barriers: 2,
        estimate: None,
        crossing: 3,
        scale: SCALE,
    };
    ExactEncode::new(plan, picture(size.0, size.1), CHANNELS).unwrap()
}

/// Encodes with answers arriving in the order that `next` picks among the open tiles.
fn encode(size: (u32, u32), side: u32, mut next: impl FnMut(usize) -> usize) -> Vec<f32> {
    let mut exact = begun(size, side);
    loop {
        let mut open: Vec<u32> = (0..u32::try_from(exact.tiles()).unwrap()).collect();
        loop {
            let tile = TileIndex(open.remove(next(open.len())));
            let arrived = answer(&exact, &exact.work(tile));
            assert!(exact.fits(Some(tile), &arrived));
            match exact.complete(Some(tile), arrived).unwrap() {
                Step::Wait => {}
                Step::Advance => break assert!(open.is_empty(), "all go on together"),
                Step::Done(posterior) => return posterior.mean(0.5),
                Step::Join => {
                    exact = exact.join();
                    let last = answer(&exact, &exact.end_work().unwrap());
                    assert!(exact.fits(None, &last));
                    let Step::Done(posterior) = exact.complete(None, last).unwrap() else {
                        panic!("that was all")
                    };
                    return posterior.mean(0.5);
                }
            }
        }
    }
}

/// What a worker would answer.
fn answer(exact: &ExactEncode, work: &Work) -> Answer {
    let Work::Advance { sources, .. } = work else { panic!("another work") };
    let read: Vec<_> = sources.iter().map(|source| exact.tensor(source.digest).unwrap()).collect();
    tile(work, &read)
}

#[test]
fn any_cut_gives_the_untiled_latent() {
    let whole = encode((104, 72), 0, |_| 0);
    assert_eq!(whole.len(), CHANNELS * 13 * 9);
    for side in [64, 32, 8] {
        let cut = encode((104, 72), side, |_| 0);
        let error = whole.iter().zip(&cut).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-6, "{side}: {error}");
    }
}

#[test]
fn a_tile_is_sent_its_core_and_halo_alone() {
    let exact = begun((104, 72), 32);
    for index in (0..).map(TileIndex).take(exact.tiles()) {
        let Work::Advance { sources, core, .. } = exact.work(index) else { panic!("another work") };
        let place = sources[0].place;
        assert!(place.contains(core) && place.area() <= core.area() + 2 * 8 * (32 + 48));
    }
}

#[test]
fn answers_of_another_kind_or_shape_do_not_fit() {
    let exact = begun((64, 64), 32);
    let tensor = |channels, side| Answer::Tensors(vec![Tensor::zeros([1, channels, side, side]).unwrap()]);
    assert!(!exact.fits(Some(TileIndex(0)), &tensor(3, 4)), "its statistics are not known yet");
    assert!(!exact.fits(None, &tensor(4, 8)), "there is nothing to end yet");
    assert!(!exact.fits(Some(TileIndex(0)), &Answer::Moments(Moments::empty(1))), "no px was counted");
    let alone = begun((64, 64), 0);
    assert!(alone.fits(Some(TileIndex(0)), &tensor(4, 8)), "one tile runs to the end");
    assert!(!alone.fits(Some(TileIndex(0)), &tensor(3, 8)));
}

#[test]
fn large_results_are_joined_in_bands() {
    let size = Size { width: 512, height: 300 };
    let bands = bands(size, 512).unwrap();
    assert_eq!(bands.len(), 5, "64 rows of 1 MiB each");
    assert!(bands.iter().all(|band| band.tensor.byte_len() <= BAND_BYTES));
    assert_eq!(bands.iter().map(|band| band.place.area()).sum::<u64>(), 512 * 300);
}

proptest! {
    #[test]
    fn the_order_of_answers_leaves_no_trace(picks in proptest::collection::vec(0_usize..100, 36)) {
        let mut picks = picks.into_iter();
        let shuffled = encode((96, 72), 24, |open| picks.next().unwrap_or(0) % open);
        let in_order = encode((96, 72), 24, |_| 0);
        prop_assert_eq!(shuffled, in_order);
    }
}
