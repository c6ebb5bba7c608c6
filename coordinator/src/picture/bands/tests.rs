use proptest::prelude::*;

use super::*;

fn rect(x0: u32, y0: u32, x1: u32, y1: u32) -> Rect {
    Rect::new(x0, y0, x1, y1).unwrap()
}

/// A value that says where it belongs, exactly.
fn value(channel: u32, x: u32, y: u32) -> f32 {
    f32::from(u16::try_from(channel * 10_000 + y * 100 + x).unwrap())
}

fn values(tile: Rect) -> Vec<f32> {
    let row = |channel, y| (tile.x0()..tile.x1()).map(move |x| value(channel, x, y));
    let plane = |channel| (tile.y0()..tile.y1()).flat_map(move |y| row(channel, y));
    (0..3).flat_map(plane).collect()
}

/// The bytes of rows of a picture so wide.
fn bytes(width: u32, rows: usize) -> usize {
    3 * width as usize * 4 * rows
}

/// A picture cut into rows of tiles of any heights, each row into tiles of any widths, and an order of arrival.
fn pictures() -> impl Strategy<Value = ((u32, u32), Vec<Rect>)> {
    let row = (1_u32..7, prop::collection::vec(1_u32..9, 1..6));
    prop::collection::vec(row, 1..6).prop_flat_map(|rows| {
        let width = rows.iter().map(|(_, widths)| widths.iter().sum::<u32>()).max().unwrap();
        let (mut tiles, mut y) = (Vec::new(), 0);
        for (height, widths) in rows {
            let mut x = 0;
            let last = widths.len() - 1;
            for (index, step) in widths.into_iter().enumerate() {
                let end = if index == last { width } else { x + step };
                tiles.push(rect(x, y, end, y + height));
                x = end;
            }
            y += height;
        }
        (Just((width, y)), Just(tiles).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn rows_come_from_the_top_and_whole_in_whatever_order_tiles_do(((width, height), tiles) in pictures()) {
        let mut bands = Bands::new(width, height).unwrap();
        let (mut next, mut peak) = (0, 0);
        for (index, &tile) in tiles.iter().enumerate() {
            bands.put(tile, &values(tile)).unwrap();
            peak = peak.max(bands.held_bytes());
            while let Some(band) = bands.take() {
                prop_assert_eq!(band.y0(), next);
                prop_assert!(!band.is_empty());
                for row in band.rows() {
                    for (channel, plane) in (0..).zip(row) {
                        let expected: Vec<_> = (0..width).map(|x| value(channel, x, next)).collect();
                        prop_assert_eq!(plane, expected.as_slice());
                    }
                    next += 1;
                }
            }
            // What could be handed out was: some tile of the next row is missing.
            let missing = tiles[index + 1..].iter().any(|tile| (tile.y0()..tile.y1()).contains(&next));
            prop_assert!(missing || next == height);
            prop_assert!(bands.put(tile, &values(tile)).is_err(), "a tile comes once");
        }
        prop_assert!(bands.is_done());
        prop_assert_eq!((bands.held_bytes(), bands.peak_bytes()), (0, peak));
        prop_assert!(peak <= bytes(width, height as usize));
    }
}

#[test]
fn a_row_of_tiles_is_all_that_is_held() {
    let mut bands = Bands::new(40, 96).unwrap();
    for y in (0..96).step_by(12) {
        for x in (0..40).step_by(10) {
            let tile = rect(x, y, x + 10, y + 12);
            bands.put(tile, &values(tile)).unwrap();
        }
        assert_eq!(bands.take().map(|band| (band.y0(), band.len())), Some((y, 12)));
    }
    assert_eq!(bands.peak_bytes(), bytes(40, 12));
}

#[test]
fn a_tile_of_a_lower_row_holds_its_own_rows_alone() {
    let mut bands = Bands::new(8, 64).unwrap();
    let low = rect(0, 60, 4, 64);
    bands.put(low, &values(low)).unwrap();
    assert_eq!((bands.held_bytes(), bands.take()), (bytes(8, 4), None));
    let high = rect(0, 0, 8, 60);
    bands.put(high, &values(high)).unwrap();
    assert_eq!(bands.take().unwrap().len(), 60);
    assert_eq!((bands.held_bytes(), bands.peak_bytes()), (bytes(8, 4), bytes(8, 64)));
    assert!(!bands.is_done());
}

#[test]
fn tiles_that_do_not_fit_are_refused_and_leave_nothing() {
    let mut bands = Bands::new(8, 8).unwrap();
    let tile = rect(0, 0, 4, 4);
    assert!(bands.put(rect(4, 4, 9, 8), &values(rect(4, 4, 9, 8))).is_err());
    assert_eq!(bands.put(tile, &[0.0; 47]).unwrap_err(), Error::Length { tile, expected: 48, actual: 47 });
    assert_eq!(bands.held_bytes(), 0);
    bands.put(tile, &values(tile)).unwrap();
    assert_eq!(bands.put(rect(3, 3, 8, 8), &[0.0; 75]), Err(Error::Twice { tile: rect(3, 3, 8, 8) }));
    bands.put(rect(4, 0, 8, 4), &[0.5; 48]).unwrap();
    assert_eq!(bands.take().unwrap().len(), 4);
    assert_eq!(bands.put(tile, &values(tile)), Err(Error::Twice { tile }), "its rows are gone");
    assert!(Bands::new(0, 8).is_err());
}
