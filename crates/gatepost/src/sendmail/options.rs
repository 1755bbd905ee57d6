//! The command line of sendmail, as PHP's mail(), cron and mailx write it.

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub mode: Mode,
    /// `-t`: recipients are also in the header.
    pub recipients_from_header: bool,
    /// `-i`, `-oi`: a line with a single dot is part of the letter.
    pub dots_are_data: bool,
    /// `-f`, `-r`: the reverse-path; empty or `<>` is the null one.
    pub from: Option<String>,
    /// `-F`: the name for a From field that has to be made.
    pub full_name: Option<String>,
    /// `-C`: the configuration.
    pub config: Option<String>,
    pub recipients: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `-bm`: read a letter from standard input.
    #[default]
    Deliver,
    /// `-bs`: speak SMTP on standard input and output.
    Smtp,
    /// `-bp`: print the queue.
    PrintQueue,
}

/// The command line cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOptions {
    #[error("option {0} needs a value")]
    NeedsValue(String),
    #[error("option {0} is not known; see `gatepost sendmail --help`")]
    Unknown(String),
}

impl Options {
    /// Reads the arguments after the program's name. Options that change nothing here are taken and passed over.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, BadOptions> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--" => {
                    options.recipients.extend(arguments);
                    break;
                }
                flags if flags.len() > 1 && flags.starts_with('-') => options.flags(&argument, &mut arguments)?,
                _ => options.recipients.push(argument),
            }
        }
        Ok(options)
    }

    fn flags(&mut self, argument: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), BadOptions> {
        for (at, letter) in argument.char_indices().skip(1) {
            let attached = &argument[at + letter.len_utf8()..];
            match letter {
                't' => self.recipients_from_header = true,
                'i' => self.dots_are_data = true,
                // Verbose, no rewriting, "submission": nothing to do with them here.
                'v' | 'n' | 'm' | 'U' | 'G' | 's' => {}
                'f' | 'r' | 'F' | 'C' | 'b' | 'o' | 'O' | 'B' | 'N' | 'R' | 'V' | 'h' | 'L' | 'p' | 'X' | 'q' | 'd' => {
                    let optional = matches!(letter, 'q' | 'd' | 'o');
                    let value = match attached {
                        "" if optional => String::new(),
                        "" => rest.next().ok_or_else(|| BadOptions::NeedsValue(format!("-{letter}")))?,
                        value => value.to_owned(),
                    };
                    return self.value(letter, value);
                }
                _ => return Err(BadOptions::Unknown(argument.to_owned())),
            }
        }
        Ok(())
    }

    fn value(&mut self, letter: char, value: String) -> Result<(), BadOptions> {
        match (letter, value.as_str()) {
            ('f' | 'r', _) => self.from = Some(value),
            ('F', _) => self.full_name = Some(value),
            ('C', _) => self.config = Some(value),
            ('o', "i") => self.dots_are_data = true,
            ('b', "m") => self.mode = Mode::Deliver,
            ('b', "s") => self.mode = Mode::Smtp,
            ('b', "p") => self.mode = Mode::PrintQueue,
            ('b', other) => return Err(BadOptions::Unknown(format!("-b{other}"))),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Options {
        Options::parse(line.split_whitespace().map(str::to_owned)).expect("understood")
    }

    #[test]
    fn php_cron_and_mailx_are_understood() {
        assert!(parse("-t -i").recipients_from_header);
        let cron = parse("-i -FCronDaemon -B8BITMIME -oem root");
        assert_eq!(
            (cron.full_name.as_deref(), cron.recipients.as_slice()),
            (Some("CronDaemon"), &["root".to_owned()][..])
        );
        assert!(cron.dots_are_data);
        let php = parse("-ti -fwww@a.test");
        assert_eq!(
            (php.recipients_from_header, php.dots_are_data, php.from.as_deref()),
            (true, true, Some("www@a.test"))
        );
        assert!(parse("-oi x@y.test").dots_are_data);
        assert_eq!(parse("-bp").mode, Mode::PrintQueue);
        assert_eq!(parse("-bs").mode, Mode::Smtp);
    }

    #[test]
    fn a_recipient_after_two_dashes_is_no_option() {
        assert_eq!(parse("-i -- -x@a.test").recipients, ["-x@a.test"]);
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert_eq!(Options::parse(["-Z".to_owned()]), Err(BadOptions::Unknown("-Z".to_owned())));
        assert_eq!(Options::parse(["-f".to_owned()]), Err(BadOptions::NeedsValue("-f".to_owned())));
    }
}
