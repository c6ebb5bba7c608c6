use std::io::Cursor;

use safetensors::{Dtype, tensor::TensorView};

use super::*;
use crate::picture::{
    Header, Metadata, Range, Writer,
    format::{Depth, Format},
    raster::IMAGE,
    testing::{raster, scene},
};

/// The scene, disturbed by -5 to 5 levels, more upwards in blue.
fn disturbed(channel: u8, x: u32, y: u32) -> u8 {
    let noise = i32::try_from((7 * x + 3 * y + u32::from(channel)) % 11).unwrap() - 5;
    let noise = noise + i32::from(channel / 2);
    u8::try_from((i32::from(scene(channel, x, y)) + noise).clamp(0, 255)).unwrap()
}

fn near(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-9, "{actual}, not {expected}");
}

/// A dump of values in -1..1.
fn dump(width: usize, values: &[f32]) -> Raster {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape = vec![1, 3, values.len() / 3 / width, width];
    let view = TensorView::new(Dtype::F32, shape, &bytes).unwrap();
    Raster::read(safetensors::serialize([(IMAGE, view)], None).unwrap(), 0).unwrap()
}

#[test]
fn measures_are_those_that_numpy_finds() {
    let found = compare(&raster(45, 31, scene), &raster(45, 31, disturbed)).unwrap();
    // d = b.astype(float) - a; 10 * log10(255 ** 2 / mean(d ** 2)), abs(d).max(), sqrt(mean(d ** 2)), mean(d), mean(d != 0)
    let table = [
        (found.all, [38.02743922689003, 6.0, 3.2001344057795076, 0.32831541218637994, 0.9056152927120669]),
        (found.red, [38.17744012601844, 5.0, 3.145344172607778, 0.0064516129032258064, 0.9032258064516129]),
        (
            found.green,
            [38.15202528411186, 5.0, 3.1545609013437574, -0.002867383512544803, 0.9068100358422939],
        ),
        (found.blue, [37.765258687302314, 6.0, 3.2982019648161094, 0.9813620071684588, 0.9068100358422939]),
    ];
    for (measures, [psnr_db, max_abs, rms, mean_shift, differing]) in table {
        near(measures.psnr_db.unwrap(), psnr_db);
        near(measures.max_abs, max_abs);
        near(measures.rms, rms);
        near(measures.mean_shift, mean_shift);
        near(measures.differing, differing);
    }
}

#[test]
fn the_same_picture_differs_in_nothing() {
    let found = compare(&raster(9, 5, scene), &raster(9, 5, scene)).unwrap();
    let none = Measures { psnr_db: None, max_abs: 0.0, rms: 0.0, mean_shift: 0.0, differing: 0.0 };
    assert_eq!((found.all, found.blue), (none, none));
    assert_eq!((found.width, found.height), (9, 5));
}

/// A 16-bit PNG of one pixel's unit values.
fn sixteen(values: [f32; 3]) -> Raster {
    let (width, height) = (1, 1);
    let header = Header {
        format: Format::Png(Depth::Sixteen),
        width,
        height,
        range: Range::Unit,
        metadata: Metadata::default(),
    };
    let mut writer = Writer::new(Cursor::new(Vec::new()), header).unwrap();
    writer.row([&values[..1], &values[1..2], &values[2..]]).unwrap();
    Raster::read(writer.finish().unwrap().into_inner(), 1).unwrap()
}

#[test]
fn sixteen_bits_differ_in_parts_of_a_level() {
    let level = 1.0 / 65_535.0;
    let found = compare(&sixteen([0.5, 0.5, 1.0]), &sixteen([0.5 + 4.0 * level, 0.5, 1.0])).unwrap();
    near(found.red.max_abs, 4.0 / 257.0);
    near(found.all.mean_shift, 4.0 / 257.0 / 3.0);
    near(found.all.differing, 0.0);
    let eight = raster(1, 1, |channel, _, _| [128, 128, 255][usize::from(channel)]);
    let found = compare(&sixteen([0.5, 0.5, 1.0]), &eight).unwrap();
    near(found.blue.max_abs, 0.0);
    // 32,768 of 65,535 is 127.502 of 255, which rounds to 128.
    near(found.red.max_abs, 128.0 - 32_768.0 / 257.0);
    near(found.all.differing, 0.0);
}

#[test]
fn values_before_rounding_are_cut_beside_rounded_ones_alone() {
    let (a, b) = (dump(1, &[1.5, 0.0, -1.0]), dump(1, &[1.25, 0.0, -1.0 + 2e-5]));
    let found = compare(&a, &b).unwrap();
    near(found.red.max_abs, 0.25 * 127.5);
    near(found.blue.max_abs, f64::from(-1.0_f32 + 2e-5 + 1.0) * 127.5);
    near(found.all.differing, 0.0);
    let white = raster(1, 1, |channel, _, _| [255, 128, 0][usize::from(channel)]);
    let found = compare(&a, &white).unwrap();
    near(found.red.max_abs, 0.0);
    near(found.green.max_abs, 0.5);
    near(found.all.differing, 0.0);
}

#[test]
fn sizes_must_agree() {
    let error = compare(&raster(4, 3, scene), &raster(3, 4, scene)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the pictures are of different sizes, 4x3 and 3x4 px: compare pictures of one size"
    );
}
