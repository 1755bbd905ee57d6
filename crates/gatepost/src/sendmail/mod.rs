//! `gatepost sendmail`: the way in for programs that call /usr/sbin/sendmail.

mod address_list;
pub mod dropbox;
pub mod letter;
pub mod options;
