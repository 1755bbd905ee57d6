//! What a sender can do, by the enhanced status code (RFC 3463 §3; registry of RFC 5248).

use smtp::EnhancedCode;

/// One or two sentences for the writer of a letter that failed.
pub(super) fn for_failure(status: EnhancedCode) -> &'static str {
    match (status.subject, status.detail) {
        (1, 0 | 1 | 3) => {
            "There is no such address. Look for a typing error, or ask the recipient by other means for the right address."
        }
        (1, 2) => "There is no such domain, or it takes no mail. Look for a typing error behind the @ of the address.",
        (1, 6) => "The mailbox has moved. Ask the recipient for the new address.",
        (1, 7 | 8) => {
            "Your own address was not accepted. Check the sender's address in your mail program, or tell your \
             administrator."
        }
        (1, 10) => "The domain says that it takes no mail at all. Look for a typing error behind the @ of the address.",
        (2, 1) => "The mailbox is closed. Ask the recipient by other means whether it is still in use.",
        (2, 2) => "The mailbox is full. Send the letter again later, or tell the recipient by other means.",
        (2, 3) | (3, 4) => {
            "The letter is too large for the other side. Send it with smaller attachments, or put a link into it."
        }
        (4, 6) => "The letter went round in a circle between servers. Tell your administrator, and the recipient's.",
        (4, 1 | 2 | 4 | 7) => {
            "The other side did not take it in all that time. Look for a typing error behind the @ of the address, or \
             send the letter again later; if it is urgent, use other means."
        }
        (6, 7..=10) => {
            "The other server cannot take an address or a header with letters beyond ASCII. Use an address in plain ASCII \
             letters."
        }
        (6, _) => {
            "The other server does not take the form of the letter. Send it as plain text, or without attachments."
        }
        (7, 10 | 30) => {
            "The letter was not to go without encryption, and the other side offers none that is good enough."
        }
        (7, 20..=29) | (7, 8 | 9) => {
            "The other server could not verify that the letter is yours. Tell your administrator: SPF, DKIM or DMARC of \
             your domain needs attention."
        }
        (7, _) => {
            "The other server does not want this letter. Its own words may say why and what to do; your administrator can \
             help with them."
        }
        _ => "The words of the other server may say why. Your administrator can help with them.",
    }
}
