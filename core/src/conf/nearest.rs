//! The key that somebody probably meant.

use super::keys;

/// The key whose name is most like `name`, and how many edits lie between them, whatever the case of letters.
pub(super) fn nearest(name: &str) -> (&'static str, usize) {
    keys::all()
        .map(|entry| (entry.name, distance(&name.to_ascii_lowercase(), &entry.name.to_ascii_lowercase())))
        .min_by_key(|&(_, distance)| distance)
        .expect("the table has keys")
}

/// The number of characters to insert, remove, replace, or swap with their neighbour, to turn one text into the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Rows of the table: for the prefix of `a` two shorter, one shorter, and this one.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_count_one_each() {
        let table = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("memroy", "memory", 1),
            ("a", "b", 1),
        ];
        for (a, b, expected) in table {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn case_is_no_difference() {
        assert_eq!(nearest("spark.Executor.Memory"), ("spark.executor.memory", 0));
    }
}
