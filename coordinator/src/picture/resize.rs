//! The "Lanczos" upscaler: a picture and a size in, the resized picture out, as Pillow's `Image.LANCZOS` gives it.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::rgb::{Error, Picture, byte_len};

/// Resizes a picture with a Lanczos kernel of three lobes, widened where a side shrinks.
///
/// As in Pillow the columns are convolved first and rounded to 8 bits, then the rows; fixed point throughout, so that
/// the bytes are the same with and without SIMD.
///
/// # Errors
/// A target side is 0, or the result would be too large to address.
pub fn lanczos(picture: &Picture, width: u32, height: u32) -> Result<Picture, Error> {
    // The resizer does rows first when both sides change, which differs from Pillow by dozens of levels at hard edges,
    // where the value between the passes is clamped. So it gets one side at a time.
    byte_len(width, height)?;
    let wide = resized(picture, width, picture.height())?;
    resized(&wide, width, height)
}

fn resized(picture: &Picture, width: u32, height: u32) -> Result<Picture, Error> {
    const FITS: &str = "a picture has three bytes for each pixel, aligned to one byte";
    let mut rgb = Picture::black(width, height)?.into_rgb();
    let source =
        ImageRef::new(picture.width(), picture.height(), picture.rgb(), PixelType::U8x3).expect(FITS);
    let mut target = Image::from_slice_u8(width, height, &mut rgb, PixelType::U8x3).expect(FITS);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new()
        .resize(&source, &mut target, &options)
        .expect("both are 8-bit RGB, and nothing is cropped");
    Picture::new(width, height, rgb)
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../../tests/oracle/golden/resize.safetensors");

    fn picture(golden: &SafeTensors<'_>, name: &str) -> Picture {
        let tensor = golden.tensor(name).unwrap();
        let side = |i: usize| u32::try_from(tensor.shape()[i]).unwrap();
        Picture::new(side(1), side(0), tensor.data().to_vec()).unwrap()
    }

    #[test]
    fn lanczos_is_within_one_level_of_pillow() {
        let golden = SafeTensors::deserialize(GOLDEN).unwrap();
        for case in 0..4 {
            let expected = picture(&golden, &format!("rgb.{case}.lanczos"));
            let source = picture(&golden, &format!("rgb.{case}.in"));
            let resized = lanczos(&source, expected.width(), expected.height()).unwrap();
            let pairs = || resized.rgb().iter().zip(expected.rgb());
            let differing = pairs().filter(|(a, e)| a != e).count();
            println!("case {case}: {differing} of {} bytes differ from Pillow", expected.rgb().len());
            assert!(pairs().all(|(a, e)| a.abs_diff(*e) <= 1), "case {case}");
            assert!(differing * 50 < expected.rgb().len(), "case {case}: {differing} bytes differ");
        }
    }

    #[test]
    fn the_same_size_changes_nothing_and_size_zero_is_refused() {
        let picture = Picture::new(2, 2, (0..12).collect()).unwrap();
        assert_eq!(lanczos(&picture, 2, 2).unwrap(), picture);
        let error = lanczos(&picture, 0, 8).unwrap_err();
        assert_eq!(error.to_string(), "a picture of 0x8 px is empty or too large to address");
    }
}
