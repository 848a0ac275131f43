//! The frame's number in decimal, for people.

use super::{BLACK, Canvas, WHITE};

/// Digits are 5 cells wide and 7 high; each row of cells is 5 bits, the leftmost the highest.
const FONT: [[u8; 7]; 10] = [
    [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111],
    [0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
];
/// Shown with leading zeroes up to here, so that the box keeps its size for the first million frames.
const DIGITS_MIN: usize = 6;
/// As many as the largest number has.
const DIGITS_MAX: usize = 20;

/// Draws the number on a black box in the middle of what lies below `top`, about half as wide as the frame; nothing
/// where that is too small.
pub(super) fn draw(canvas: &mut Canvas<'_>, number: u64, top: u32) {
    let mut decimal = [0; DIGITS_MAX];
    let mut rest = number;
    let mut length = 0;
    while rest > 0 || length < DIGITS_MIN {
        decimal[length] = (rest % 10) as usize;
        rest /= 10;
        length += 1;
    }
    // One cell of space around and between the digits.
    let (columns, rows) = (length as u32 * 6 + 1, 9);
    let (width, height) = canvas.size();
    let below = height - top;
    // Small frames give their whole width to digits one pixel a cell.
    let cell = (width / 2 / columns).max((width / columns).min(1)).min((below / 2 / rows).max((below / rows).min(1)));
    if cell == 0 {
        return;
    }
    let (left, upper) = ((width - columns * cell) / 2, top + (below - rows * cell) / 2);
    canvas.fill(left, upper, columns * cell, rows * cell, BLACK);
    for (position, digit) in decimal[..length].iter().rev().enumerate() {
        for (row, bits) in FONT[*digit].iter().enumerate() {
            let y = upper + (row as u32 + 1) * cell;
            for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                canvas.fill(left + (position as u32 * 6 + 1 + column) * cell, y, cell, cell, WHITE);
            }
        }
    }
}
