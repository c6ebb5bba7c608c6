//! Against numpy, and against themselves cut differently.

use proptest::prelude::*;

use super::*;

fn rect(x0: u32, y0: u32, x1: u32, y1: u32) -> Rect {
    Rect::new(x0, y0, x1, y1).unwrap()
}

/// `[1, 2, 3, 4]`: 0, 1, 4, 9, ... (squares, so that no two rows are alike).
fn squares() -> Tensor {
    Tensor::new([1, 2, 3, 4], (0_u8..24).map(|index| f32::from(index).powi(2)).collect()).unwrap()
}

/// numpy: `x = np.arange(24.)**2; x.reshape(2,3,4)[:, 1:3, 0:3]` -> mean, `((x - mean)**2).sum`.
#[test]
fn a_piece_is_counted_as_numpy_counts_it() {
    let moments = Moments::of(&squares(), rect(0, 1, 3, 3)).unwrap();
    assert_eq!(moments.count(), 6);
    assert_eq!(moments.mean(), [53.666_666_666_666_664, 365.666_666_666_666_7]);
    let expected = [5_553.333_333_333_333, 40_497.333_333_333_336];
    for (m2, expected) in moments.m2().iter().zip(expected) {
        assert!((m2 - expected).abs() <= 1e-11 * expected, "{m2} is not {expected}");
    }
}

/// torch: `group_norm(x, 2, w, b, 1e-6)` in float64 of 4 channels in 2 groups, at the first and last pixel.
#[test]
fn the_affine_form_is_the_normalisation() {
    let values: Vec<f32> = (0_u8..24).map(|index| (f32::from(index) * 0.7).sin() * 3.0 + 5.0).collect();
    let picture = Tensor::new([1, 4, 2, 3], values.clone()).unwrap();
    let (weight, bias) = (vec![1.0, 2.0, -1.0, 0.5], vec![0.0, 1.0, 2.0, 3.0]);
    let norm = GroupNorm::new(2, 1e-6, weight, bias).unwrap();
    let affine = norm.affine(&Moments::of(&picture, rect(0, 0, 3, 2)).unwrap()).unwrap();
    for (index, expected) in
        [(0, -0.200_481_921_282_711_58), (11, 3.474_090_508_367_997), (23, 2.666_502_969_752_123)]
    {
        let result = values[index] * affine.scale[index / 6] + affine.shift[index / 6];
        assert!((f64::from(result) - expected).abs() < 2e-6, "{index}: {result} is not {expected}");
    }
}

#[test]
fn groups_of_merged_pieces_are_merged_groups_of_pieces() {
    let pieces = [rect(0, 0, 4, 1), rect(0, 1, 1, 3), rect(1, 1, 4, 3)];
    let (mut by_channel, mut by_group) = (Moments::empty(2), Moments::empty(1));
    for piece in pieces {
        let moments = Moments::of(&squares(), piece).unwrap();
        by_group.merge(&moments.grouped(1).unwrap()).unwrap();
        by_channel.merge(&moments).unwrap();
    }
    let grouped = by_channel.grouped(1).unwrap();
    assert_eq!((grouped.count(), by_group.count()), (24, 24));
    // numpy: x.mean(), ((x - x.mean())**2).sum() of all 24.
    for (found, expected) in [(&grouped, "by channel"), (&by_group, "by group")] {
        assert!((found.mean()[0] - 180.166_666_666_666_66).abs() < 1e-10, "{expected}: {found:?}");
        assert!((found.m2()[0] - 652_203.333_333_333_5).abs() < 1e-6, "{expected}: {found:?}");
    }
    let norm = GroupNorm::new(1, 1e-6, vec![1.0, 2.0], vec![0.0, 0.5]).unwrap();
    assert_eq!(norm.affine(&grouped).unwrap(), norm.affine(&by_channel).unwrap());
    assert!(matches!(by_channel.grouped(3), Err(Error::Groups { channels: 2, groups: 3 })));
    let mut many = Moments::new(1 << 53, vec![0.0, 0.0], vec![0.0, 0.0]).unwrap();
    assert!(matches!(many.merge(&by_channel), Err(Error::Count { .. })), "hostile counts do not overflow");
    assert!(matches!(many.grouped(1), Err(Error::Count { .. })));
    assert!(Moments::new(u64::MAX, vec![0.0], vec![0.0]).is_err());
}

#[test]
fn what_does_not_fit_is_refused() {
    let outside = Moments::of(&squares(), rect(0, 0, 5, 1)).unwrap_err();
    assert_eq!(
        outside.to_string(),
        "statistics of [0..5) x [0..1) are asked of a tensor of shape [1, 2, 3, 4], which does not hold it"
    );
    let nan = Tensor::new([1, 1, 1, 2], vec![0.0, f32::NAN]).unwrap();
    assert!(matches!(Moments::of(&nan, rect(0, 0, 2, 1)), Err(Error::Impossible { channel: 0, .. })));
    assert!(Moments::of(&nan, rect(0, 0, 1, 1)).is_ok(), "the pixel outside is not looked at");
    assert!(matches!(Moments::new(1, vec![0.0], vec![-1.0]), Err(Error::Impossible { .. })));
    assert!(matches!(Moments::new(0, vec![1.0], vec![0.0]), Err(Error::Impossible { .. })));
    assert!(matches!(Moments::new(1, vec![0.0], vec![]), Err(Error::Channels { found: 0, needed: 1, .. })));
    let error = GroupNorm::new(3, 1e-6, vec![1.0; 8], vec![0.0; 8]).unwrap_err();
    assert_eq!(error.to_string(), "8 channels cannot be divided into 3 groups");
    let norm = GroupNorm::new(2, 1e-6, vec![1.0; 8], vec![0.0; 8]).unwrap();
    assert!(matches!(norm.affine(&Moments::empty(8)), Err(Error::Impossible { count: 0, .. })));
    let error = norm.affine(&Moments::empty(4)).unwrap_err();
    assert_eq!(error.to_string(), "statistics for 4 channels, 8 are needed");
    assert!(Moments::empty(3).merge(&Moments::empty(4)).is_err());
}

proptest! {
    /// However a picture is cut, its pieces merge to the whole; a large common offset costs nothing.
    #[test]
    fn pieces_make_the_whole(
        width in 1_u32..40, height in 1_u32..12, x in 0_u32..40, y in 0_u32..12, offset in -1e4_f32..1e4,
    ) {
        let area = usize::try_from(width * height).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "test data")]
        let value = |index: usize| (index as f32 * 0.37).sin() + offset;
        let (columns, rows) = (usize::try_from(width).unwrap(), usize::try_from(height).unwrap());
        let picture = Tensor::new([1, 2, rows, columns], (0..2 * area).map(value).collect()).unwrap();
        let whole = Moments::of(&picture, rect(0, 0, width, height)).unwrap();
        let (x, y) = (x.min(width), y.min(height));
        let mut merged = Moments::empty(2);
        for (y0, y1) in [(0, y), (y, height)] {
            for (x0, x1) in [(0, x), (x, width)] {
                if let Ok(piece) = Rect::new(x0, y0, x1, y1) {
                    merged.merge(&Moments::of(&picture, piece).unwrap()).unwrap();
                }
            }
        }
        prop_assert_eq!(merged.count(), whole.count());
        for channel in 0..2 {
            let (a, b) = (merged.mean()[channel], whole.mean()[channel]);
            prop_assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "means {} and {}", a, b);
            let (a, b) = (merged.m2()[channel], whole.m2()[channel]);
            prop_assert!((a - b).abs() <= 1e-9 * (1.0 + b), "M2 {} and {}", a, b);
        }
    }
}
