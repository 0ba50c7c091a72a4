//! Three texts, line by line: what two sides did to the same notes, brought together or not at all.
//!
//! Line ends compare alike and stay as the store has them. Lines that both sides add at one end are both kept, the
//! store's first. One change on each side, apart from each other, is brought together whatever the size; more than that
//! is for a text merge, within a bound on its time. A result with more copies of a line than either side has is nobody's
//! intention: a line that both moved, for one.

use std::collections::BTreeMap;
use std::ops::Range;

/// Changed lines, on all sides together, beyond which nothing is brought together: the time of a merge grows with
/// their square.
const MOST_LINES: usize = 2_000;

/// What both sides made of `base`; `None`: they did not keep out of each other's way.
pub(super) fn merge_lines(base: &str, local: &str, remote: &str) -> Option<String> {
    let [b, l, r] = [base, local, remote].map(lines);
    let merged = merged(&b, &l, &r)?;
    (!has_more_copies(&merged, &l, &r)).then(|| {
        let ends = ends_with_line(local) && ends_with_line(remote);
        let end = if remote.contains("\r\n") || (!remote.contains('\n') && base.contains("\r\n")) {
            "\r\n"
        } else {
            "\n"
        };
        let mut text = merged.join(end);
        if ends && !text.is_empty() {
            text.push_str(end);
        }
        text
    })
}

/// Whether two texts have the same lines, however these end.
pub(super) fn are_alike(one: &str, other: &str) -> bool {
    one == other || lines(one) == lines(other) && ends_with_line(one) == ends_with_line(other)
}

fn ends_with_line(text: &str) -> bool {
    text.is_empty() || text.ends_with('\n')
}

fn lines(text: &str) -> Vec<&str> {
    if text.is_empty() {
        return Vec::new();
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect()
}

type Lines<'t> = Vec<&'t str>;

fn merged<'t>(base: &[&'t str], local: &[&'t str], remote: &[&'t str]) -> Option<Lines<'t>> {
    if local == remote || base == remote {
        return Some(local.to_vec());
    }
    if base == local {
        return Some(remote.to_vec());
    }
    apart(base, local, remote).or_else(|| around(base, local, remote)).or_else(|| added(base, local, remote))
}

/// One side only added lines, before or behind all that was there, whatever the other side made of that.
fn added<'t>(base: &[&'t str], local: &[&'t str], remote: &[&'t str]) -> Option<Lines<'t>> {
    let is_apart = |side: &[&str]| !side.starts_with(base) && !side.ends_with(base);
    for (one, other) in [(local, remote), (remote, local)].into_iter().filter(|(_, other)| is_apart(other)) {
        if let Some(tail) = one.strip_prefix(base) {
            return Some([other, tail].concat());
        }
        if let Some(head) = one.strip_suffix(base) {
            return Some([head, other].concat());
        }
    }
    None
}

/// One change on each side, with a line between them that neither touched.
fn apart<'t>(base: &[&'t str], local: &[&'t str], remote: &[&'t str]) -> Option<Lines<'t>> {
    let ((ours, our_lines), (theirs, their_lines)) = (change(base, local), change(base, remote));
    let (first, first_lines, second, second_lines) = if ours.end < theirs.start {
        (ours, our_lines, theirs, their_lines)
    } else if theirs.end < ours.start {
        (theirs, their_lines, ours, our_lines)
    } else {
        return None;
    };
    let between = &base[first.end..second.start];
    Some([&base[..first.start], first_lines, between, second_lines, &base[second.end..]].concat())
}

/// The part of `base` that is other in `side`, and what is there instead.
fn change<'s, 't>(base: &[&'t str], side: &'s [&'t str]) -> (Range<usize>, &'s [&'t str]) {
    let before = base.iter().zip(side).take_while(|(one, other)| one == other).count();
    let most = base.len().min(side.len()) - before;
    let after =
        base.iter().rev().zip(side.iter().rev()).take(most).take_while(|(one, other)| one == other).count();
    (before..base.len() - after, &side[before..side.len() - after])
}

/// What each side added before the first line and behind the last one is laid together; what is between is merged.
fn around<'t>(base: &[&'t str], local: &[&'t str], remote: &[&'t str]) -> Option<Lines<'t>> {
    let (Some(first), Some(last)) = (base.first(), base.last()) else { return both(local, remote) };
    let behind = |side: &[&str]| side.iter().rposition(|line| line == last).map(|place| place + 1);
    let (l_end, r_end) = behind(local).zip(behind(remote)).unwrap_or((local.len(), remote.len()));
    let ((local, l_tail), (remote, r_tail)) = (local.split_at(l_end), remote.split_at(r_end));
    let before = |side: &[&str]| side.iter().position(|line| line == first);
    let (l_start, r_start) = before(local).zip(before(remote)).unwrap_or((0, 0));
    let ((l_head, local), (r_head, remote)) = (local.split_at(l_start), remote.split_at(r_start));
    Some([both(l_head, r_head)?, between(base, local, remote)?, both(l_tail, r_tail)?].concat())
}

/// Lines that were added in one place: the store's first; those that both added, once.
fn both<'t>(local: &[&'t str], remote: &[&'t str]) -> Option<Lines<'t>> {
    Some(match () {
        () if remote.starts_with(local) => remote.to_vec(),
        () if local.starts_with(remote) => local.to_vec(),
        () => [remote, local].concat(),
    })
}

fn between<'t>(base: &[&'t str], local: &[&'t str], remote: &[&'t str]) -> Option<Lines<'t>> {
    if local == remote || base == remote {
        return Some(local.to_vec());
    }
    if base == local {
        return Some(remote.to_vec());
    }
    if let Some(merged) = apart(base, local, remote) {
        return Some(merged);
    }
    let changed = |side| {
        let (range, lines) = change(base, side);
        range.len() + lines.len()
    };
    if changed(local) + changed(remote) > MOST_LINES {
        return None;
    }
    let same_before = base.iter().zip(local).zip(remote).take_while(|((b, l), r)| b == l && b == r).count();
    let tails = [base, local, remote].map(|side| &side[same_before..]);
    let [b, l, r] = tails.map(|side| side.iter().map(|line| format!("{line}\n")).collect::<String>());
    let text = diffy::merge(&b, &l, &r).ok()?;
    // Every line of the result is a line of one of the sides.
    let known: BTreeMap<&str, &'t str> =
        [base, local, remote].into_iter().flatten().map(|line| (*line, *line)).collect();
    let merged: Option<Lines<'t>> = lines(&text).into_iter().map(|line| known.get(line).copied()).collect();
    Some([&base[..same_before], &merged?].concat())
}

fn has_more_copies(merged: &[&str], local: &[&str], remote: &[&str]) -> bool {
    let [merged, local, remote] = [merged, local, remote].map(|lines| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        lines
            .iter()
            .filter(|line| !line.trim().is_empty())
            .for_each(|line| *counts.entry(line).or_default() += 1);
        counts
    });
    let most = |line: &str| local.get(line).max(remote.get(line)).copied().unwrap_or(0);
    merged.iter().any(|(line, count)| *count > most(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, local: &str, remote: &str, wanted: Option<&str>) {
        assert_eq!(merge_lines(base, local, remote).as_deref(), wanted, "{base:?}: {local:?}, {remote:?}");
    }

    #[test]
    fn lines_that_both_add_at_one_end_are_both_kept_the_stores_first() {
        check("a", "a\nours", "a\ntheirs", Some("a\ntheirs\nours"));
        check("a", "ours\na", "theirs\na", Some("theirs\nours\na"));
        check("", "ours", "theirs", Some("theirs\nours"));
        check("a\nb", "A\nb\nours", "a\nb\ntheirs", Some("A\nb\ntheirs\nours"));
        check("a\n", "a\nours\n", "a\ntheirs\n", Some("a\ntheirs\nours\n"));
        check("a", "a\n\nours", "a\n\ntheirs", Some("a\n\ntheirs\n\nours"));
        check("tall", "tall\nours", "huge", Some("huge\nours"));
        check("tall", "huge", "theirs\ntall", Some("theirs\nhuge"));
    }

    #[test]
    fn what_both_add_is_there_once() {
        check("a", "a\nsame", "a\nsame", Some("a\nsame"));
        check("a", "a\nsame\nours", "a\nsame", Some("a\nsame\nours"));
        check("a", "a\nsame", "a\nsame\ntheirs", Some("a\nsame\ntheirs"));
        check("a", "a\nx\nsame", "a\nsame", None);
    }

    #[test]
    fn line_ends_compare_alike_and_stay_as_the_store_has_them() {
        check("a\nb", "a\nb\nours", "a\r\nb", Some("a\r\nb\r\nours"));
        check("a\r\nb", "a\nb", "a\r\nb\r\ntheirs", Some("a\r\nb\r\ntheirs"));
        check("a\r\nb", "a\nB", "a\nb", Some("a\nB"));
        assert!(are_alike("a\r\nb\r\n", "a\nb\n"));
        assert!(!are_alike("a\nb", "a\nb\n"));
    }

    #[test]
    fn a_line_that_both_moved_is_contested() {
        check("a\nb\nc\nd\ne", "b\nc\nd\ne\na", "b\nc\na\nd\ne", None);
        check("a\nb", "A\nb", "x\nb", None);
        check("a\nb\nc", "a\nours\nb\nc", "a\ntheirs\nb\nc", None);
    }

    #[test]
    fn one_change_on_each_side_is_brought_together_whatever_the_size() {
        let base: Vec<String> = (0..100_000).map(|n| format!("line {n}")).collect();
        let (mut local, mut remote) = (base.clone(), base.clone());
        local[10] = "ours".into();
        remote[99_990] = "theirs".into();
        let merged = merge_lines(&base.join("\n"), &local.join("\n"), &remote.join("\n")).unwrap();
        assert_eq!((lines(&merged)[10], lines(&merged)[99_990]), ("ours", "theirs"));
    }

    #[test]
    fn many_changes_of_many_lines_are_contested_at_once() {
        let base: Vec<String> = (0..20_000).map(|n| format!("line {n}")).collect();
        let every = |step: usize| -> String {
            let line = |(n, line): (usize, &String)| {
                if n % step == 0 { format!("{line} of {step}") } else { line.clone() }
            };
            base.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
        };
        let began = std::time::Instant::now();
        assert_eq!(merge_lines(&base.join("\n"), &every(7), &every(11)), None);
        assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
    }

    #[test]
    fn changes_of_several_lines_apart_from_each_other_are_brought_together() {
        check(
            "a\nb\nc\nd\ne\nf\ng",
            "A\nb\nc\nd\ne\nf\nG",
            "a\nb\nC\nd\nE\nf\ng",
            Some("A\nb\nC\nd\nE\nf\nG"),
        );
    }
}
