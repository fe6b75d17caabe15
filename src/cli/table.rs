//! Text in columns.

use crate::domain::printable::visible;

/// Rows in columns as wide as their widest cell, two blanks between them. Every row has as many
/// cells as `head`. A cell is one line, whatever it holds.
pub(super) fn aligned<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let rows: Vec<[_; N]> = rows.iter().map(|row| row.each_ref().map(|cell| visible(cell))).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    });
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(line(head))
        .chain(rows.iter().map(|row| line(std::array::from_fn(|column| &*row[column]))))
        .collect()
}

/// Cells between tabs, on one line, whatever they hold.
pub(super) fn tabbed<const N: usize>(cells: [&str; N]) -> String {
    cells.map(visible).join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".to_owned(), "Zoë".to_owned(), String::new()], ["10".into(), "b".into(), "x".into()]];
        assert_eq!(aligned(["ID", "WHO", "LAST"], &rows), ["ID  WHO  LAST", "1   Zoë", "10  b    x"]);
        assert_eq!(aligned(["ID", "WHO"], &[]), ["ID  WHO"]);
    }

    #[test]
    fn a_cell_cannot_make_lines_or_columns() {
        let rows = [["1".to_owned(), "\x1b[2K\rw\n2   x".to_owned()]];
        assert_eq!(aligned(["ID", "WHO"], &rows), ["ID  WHO", "1   ␛[2K␍w␊2   x"]);
        assert_eq!(tabbed(["1", "w\tx\r\n2"]), "1\tw␉x␍␊2");
    }
}
