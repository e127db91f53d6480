//! Tables for people: columns as wide as what is in them, numbers to the right, sizes with their unit.

use std::io::Write;

/// A size in bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be shown as 1024.0 is 1.0 of the next.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).unwrap_or(&"B"))
}

/// Rows below a head. The first `left` columns hold text, the others numbers.
#[derive(Debug)]
pub(super) struct Columns {
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Columns {
    pub(super) fn new(head: &[&str], left: usize) -> Self {
        Self { rows: vec![head.iter().map(|name| (*name).to_owned()).collect()], left }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    pub(super) fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count());
                let gap = if column == 0 { "" } else { "  " };
                let (before, behind) = if column < self.left { ("", padding.as_str()) } else { (padding.as_str(), "") };
                line.extend([gap, before, cell, behind]);
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        let sizes = [0, 1023, 1024, 1536, 1 << 20, (1 << 20) - 1, 5 << 30, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB", "16777216.0 TiB"]);
    }

    #[test]
    fn text_stands_left_and_numbers_right() {
        let mut columns = Columns::new(&["NAME", "END"], 1);
        columns.row(vec!["a-long-name".to_owned(), "7".to_owned()]);
        let mut out = Vec::new();
        columns.print(&mut out).expect("printed");
        assert_eq!(String::from_utf8(out).expect("text"), "NAME         END\na-long-name    7\n");
    }
}
