mod attacks;
mod content;
mod dialogs;
mod pair;
mod random;
mod support;
