//! Amounts in progress lines.

const UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Formats a size in bytes in few characters: `9.5 MiB`, `142 MiB`.
pub(super) fn amount(bytes: u64) -> String {
    let (unit, divisor) = unit_of(bytes);
    format!("{} {unit}", in_unit(bytes, divisor))
}

/// Formats a part of a size in the unit of the whole: `142 of 260 MiB`.
pub(super) fn part_of(done: u64, total: u64) -> String {
    let (unit, divisor) = unit_of(total);
    format!("{} of {} {unit}", in_unit(done, divisor), in_unit(total, divisor))
}

fn unit_of(bytes: u64) -> (&'static str, f64) {
    let (mut unit, mut divisor) = ("bytes", 1.0);
    for next in UNITS.into_iter().skip(1) {
        // 1023.5 would be printed as 1024.
        if (bytes as f64) / divisor < 1023.5 {
            break;
        }
        divisor *= 1024.0;
        unit = next;
    }
    (unit, divisor)
}

/// Shows a decimal place only for small numbers.
fn in_unit(bytes: u64, divisor: f64) -> String {
    let value = bytes as f64 / divisor;
    if divisor > 1.0 && value < 9.95 && value > 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_one_unit_and_few_digits() {
        for (done, total, text) in [
            (0, 0, "0 of 0 bytes"),
            (7, 1023, "7 of 1023 bytes"),
            (1 << 20, 3 << 20, "1.0 of 3.0 MiB"),
            (142 << 20, 260 << 20, "142 of 260 MiB"),
            (0, 260 << 20, "0 of 260 MiB"),
            ((10 << 20) - 1, 10 << 20, "10 of 10 MiB"),
            (1 << 20, 5 << 30, "0.0 of 5.0 GiB"),
            (u64::MAX, u64::MAX, "16 of 16 EiB"),
        ] {
            assert_eq!(part_of(done, total), text);
        }
        assert_eq!(amount(35 << 20), "35 MiB");
        assert_eq!(amount(1024 * 1024 - 1), "1.0 MiB");
    }
}
