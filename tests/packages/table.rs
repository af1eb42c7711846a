//! The table of architectures against the one of the builds.

use super::scratch::root;

/// Columns of a table, without comments.
pub fn rows(file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let rows = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let rows = rows.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    rows.filter(|row| !row.is_empty()).collect()
}

/// Names of the builds.
pub fn targets() -> Vec<String> {
    rows("cross/targets").into_iter().map(|row| row[0].clone()).collect()
}

#[test]
fn every_package_has_a_build_and_every_build_a_package() {
    let packages = rows("openwrt/architectures");
    let targets = targets();
    for row in &packages {
        assert!(targets.contains(&row[1]), "{row:?}: not a target of cross/targets");
        assert!(row.len() > 3, "{row:?}: nothing uses it");
    }
    for target in &targets {
        assert!(packages.iter().any(|row| row[1] == *target), "{target}: in no package");
    }
}

#[test]
fn no_package_may_be_bigger_than_small_routers_take() {
    for row in rows("openwrt/architectures") {
        let most = if row[0] == "mipsel_24kc" { 900_000 } else { 1_100_000 };
        assert!(row[2].parse::<u64>().unwrap() <= most, "{row:?}");
    }
}

#[test]
fn the_page_names_every_architecture() {
    let page = include_str!("../../docs/packaging.md");
    for row in rows("openwrt/architectures") {
        assert!(page.contains(&format!("| `{}` |", row[0])), "docs/packaging.md: no row for {}", row[0]);
    }
}
