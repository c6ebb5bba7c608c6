//! Resized latents against torch's `F.interpolate` (`tests/oracle/resize_golden.py`).

use safetensors::{SafeTensors, tensor::TensorView};

use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../../tests/oracle/golden/resize.safetensors");

const MODES: [(&str, LatentFilter); 6] = [
    ("nearest", LatentFilter::Nearest),
    ("nearest-exact", LatentFilter::NearestExact),
    ("bilinear", LatentFilter::Bilinear),
    ("bilinear-antialiased", LatentFilter::BilinearAntialiased),
    ("bicubic", LatentFilter::Bicubic),
    ("bicubic-antialiased", LatentFilter::BicubicAntialiased),
];

fn read(view: &TensorView<'_>) -> ([usize; 3], Vec<f32>) {
    let values = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    (view.shape().try_into().unwrap(), values.collect())
}

#[test]
fn every_filter_agrees_with_torch() {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    let cases =
        golden.names().iter().filter(|name| name.starts_with("latent.") && name.ends_with(".in")).count();
    assert_eq!(cases, 7);
    for (mode, filter) in MODES {
        let mut worst = 0.0_f32;
        for case in 0..cases {
            let (shape, latent) = read(&golden.tensor(&format!("latent.{case}.in")).unwrap());
            let ([_, height, width], expected) =
                read(&golden.tensor(&format!("latent.{case}.{mode}")).unwrap());
            let resized = latent_resize(Planes::new(shape, &latent).unwrap(), filter, width, height).unwrap();
            assert_eq!(resized.len(), expected.len());
            for (a, e) in resized.iter().zip(&expected) {
                worst = worst.max((a - e).abs());
                assert!((a - e).abs() <= 1e-5, "{mode}, case {case}: {a} is not {e}");
            }
        }
        println!("{mode}: at most {worst:e} from torch");
    }
}

#[test]
fn a_flat_latent_stays_flat() {
    let latent = [0.75_f32; 5 * 9];
    for (mode, filter) in MODES {
        let resized = latent_resize(Planes::new([1, 5, 9], &latent).unwrap(), filter, 31, 3).unwrap();
        assert!(resized.iter().all(|value| (value - 0.75).abs() < 1e-6), "{mode}");
    }
}

#[test]
fn each_latent_upscaler_has_its_own_filter() {
    use tessera_proto::job::Choice;
    let filters: Vec<_> =
        UpscaleFilter::ALL.iter().filter_map(|&upscaler| LatentFilter::of(upscaler)).collect();
    assert_eq!(filters.len(), MODES.len());
    for (_, filter) in MODES {
        assert_eq!(filters.iter().filter(|&&other| other == filter).count(), 1);
    }
    assert!(
        UpscaleFilter::ALL
            .iter()
            .all(|upscaler| LatentFilter::of(*upscaler).is_some() == upscaler.is_latent())
    );
}

#[test]
fn impossible_sizes_are_refused() {
    let latent = [0.0; 6];
    let source = Planes::new([1, 2, 3], &latent).unwrap();
    let error = latent_resize(source, LatentFilter::Bilinear, 0, 4).unwrap_err();
    assert_eq!(error.to_string(), "cannot resize a latent of 3x2 px to 0x4 px");
    assert!(latent_resize(source, LatentFilter::Bilinear, 1 << 40, 1 << 40).is_err());
}
