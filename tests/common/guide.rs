//! The pieces of code in a document.

#![allow(dead_code, reason = "each test binary uses its own part")]

/// What stands between two fences.
#[derive(Clone, Debug)]
pub struct Block {
    /// The first word behind the fence.
    pub language: String,
    /// The second: the file that a reader saves it as, or what it is.
    pub name: String,
    pub text: String,
}

/// All of them, in order.
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let (language, name) = fence.split_once(' ').unwrap_or((fence, ""));
        let text: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        blocks.push(Block { language: language.to_owned(), name: name.to_owned(), text });
    }
    blocks
}
