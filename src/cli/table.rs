//! Text in columns.

/// Rows in columns as wide as their widest cell, two blanks between them. Every row has as many
/// cells as `head`.
pub(super) fn aligned<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    });
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(line(head))
        .chain(rows.iter().map(|row| line(std::array::from_fn(|column| row[column].as_str()))))
        .collect()
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
}
