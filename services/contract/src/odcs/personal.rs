//! Names that fields with personal data have. Knows nothing of their values.

/// What a field of this name most likely holds, where that is personal data: "an e-mail address". Names that
/// may as well be those of things (`name`, `address`) are not told.
pub fn personal(field: &str) -> Option<&'static str> {
    let mut words = Vec::new();
    let mut before = '_';
    for letter in field.chars() {
        let starts = letter.is_ascii_uppercase() && !before.is_ascii_uppercase();
        if !letter.is_ascii_alphanumeric() || starts {
            words.push(String::new());
        }
        if letter.is_ascii_alphanumeric() {
            if words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(letter.to_ascii_lowercase());
            }
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    let name = words.join("_");
    let has = |wanted: &str| format!("_{name}_").contains(&format!("_{wanted}_"));
    KNOWN.iter().find(|(words, _)| words.split(' ').any(has)).map(|(_, what)| *what)
}

/// Words that a name has in it, and what it then holds.
const KNOWN: [(&str, &str); 9] = [
    ("email e_mail mail_address", "an e-mail address"),
    ("phone telephone mobile_number phone_number fax msisdn", "a telephone number"),
    (
        "first_name firstname last_name lastname surname full_name fullname given_name family_name maiden_name",
        "the name of a person",
    ),
    ("ssn social_security social_security_number national_id passport passport_number tax_id", "a number of a person"),
    ("iban bank_account account_holder", "a bank account"),
    ("card_number credit_card cardnumber pan_number", "the number of a card"),
    ("birth_date birthdate date_of_birth birthday dob", "a date of birth"),
    ("ip_address ip_addr ipaddress client_ip remote_ip", "an address on the Internet"),
    ("street street_address home_address postal_address", "where a person lives"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_told_from_those_of_things() {
        for name in ["email", "customer_email", "customerEmail", "First.Name", "dob", "homeAddress", "clientIp", "IBAN"]
        {
            assert!(personal(name).is_some(), "{name}");
        }
        for name in ["name", "address", "carrier", "emailed", "telephoned_at", "ip", "product_name", "mobile"] {
            assert_eq!(personal(name), None, "{name}");
        }
    }
}
