//! The words that customers are made of, by culture.
//!
//! Name lists come from `fake` where it has the language; the scripts it lacks stand here.

use fake::locales::{AR_SA, DE_DE, Data, EN, FR_FR, IT_IT, JA_JP, PT_BR, TR_TR, ZH_CN, ZH_TW};

/// What people of one language are called, and how they write.
pub(super) struct Culture {
    pub first_names: &'static [&'static str],
    pub last_names: &'static [&'static str],
    pub companies: &'static [&'static str],
    /// `#` is a digit, `^` one from 1 to 9.
    pub phones: &'static [&'static str],
    pub notes: &'static [&'static str],
}

/// One of several words.
pub(super) fn pick(rng: &mut fastrand::Rng, words: &[&'static str]) -> &'static str {
    words[rng.usize(..words.len())]
}

/// Given names that an address can hold.
pub(super) const GIVEN_NAMES_FOR_EMAIL: &[&str] = EN::NAME_FIRST_NAME;

/// Notes that nobody can type on a till and somebody always does.
pub(super) const EMOJI_NOTES: [&str; 5] = [
    "🎂 birthday in May, give 10 %",
    "VIP ⭐️⭐️⭐️ — always gift wrap 🎁",
    "Allergic to nuts 🥜!\nAsk first.",
    "Two children 👨‍👩‍👧‍👦, likes \"blue\" \\ green",
    "\tPays by invoice 🧾\r\nnet 30",
];

const ENGLISH_NOTES: &[&str] = &[
    "Preferred customer",
    "Prefers to be called in the evening",
    "Collects orders in person",
    "Do not ship on Fridays",
];

/// The cultures, each as likely as the others.
pub(super) const CULTURES: [Culture; 13] = [
    Culture {
        first_names: EN::NAME_FIRST_NAME,
        last_names: EN::NAME_LAST_NAME,
        companies: &["Ltd", "Inc.", "& Sons", "Hardware", "Bakery"],
        phones: &["(^##) ###-####", "1-^##-###-####", "+44 20 #### ####"],
        notes: ENGLISH_NOTES,
    },
    Culture {
        first_names: FR_FR::NAME_FIRST_NAME,
        last_names: FR_FR::NAME_LAST_NAME,
        companies: &["SARL", "et Fils", "Boulangerie"],
        phones: &["+33 ^ ## ## ## ##", "0^ ## ## ## ##"],
        notes: &["Préfère être appelée le soir", "Livraison au café d’à côté", "Fidèle depuis l’été"],
    },
    Culture {
        first_names: DE_DE::NAME_FIRST_NAME,
        last_names: DE_DE::NAME_LAST_NAME,
        companies: &["GmbH", "Söhne KG", "Bäckerei"],
        phones: &["+49 ^## #######", "0^## / ######"],
        notes: &["Zahlt per Überweisung", "Bitte nur größere Pakete schicken"],
    },
    Culture {
        first_names: PT_BR::NAME_FIRST_NAME,
        last_names: PT_BR::NAME_LAST_NAME,
        companies: &["Ltda.", "e Irmãos"],
        phones: &["+55 (^#) 9####-####"],
        notes: &["Não entregar de manhã", "Cliente há muitos anos"],
    },
    Culture {
        first_names: IT_IT::NAME_FIRST_NAME,
        last_names: IT_IT::NAME_LAST_NAME,
        companies: &["S.r.l.", "e Figli"],
        phones: &["+39 0^ #### ####"],
        notes: &["Ritira il sabato", "È già stato richiamato"],
    },
    Culture {
        first_names: TR_TR::NAME_FIRST_NAME,
        last_names: TR_TR::NAME_LAST_NAME,
        companies: &["A.Ş.", "Kardeşler"],
        phones: &["+90 5## ### ## ##"],
        notes: &["İstanbul şubesinden alır", "Çarşamba günleri arayın"],
    },
    Culture {
        first_names: JA_JP::NAME_FIRST_NAME,
        last_names: JA_JP::NAME_LAST_NAME,
        companies: &["株式会社", "商店"],
        phones: &["0^-####-####"],
        notes: &["夕方に電話してください", "ポイントカードあり"],
    },
    Culture {
        first_names: ZH_CN::NAME_FIRST_NAME,
        last_names: ZH_CN::NAME_LAST_NAME,
        companies: &["有限公司", "商行"],
        phones: &["+86 1^# #### ####"],
        notes: &["老客户,请给折扣", "周末送货"],
    },
    Culture {
        first_names: ZH_TW::NAME_FIRST_NAME,
        last_names: ZH_TW::NAME_LAST_NAME,
        companies: &["股份有限公司"],
        phones: &["+886 9## ### ###"],
        notes: &["請於中午前聯絡"],
    },
    Culture {
        first_names: AR_SA::NAME_FIRST_NAME,
        last_names: AR_SA::NAME_LAST_NAME,
        companies: &["وأولاده", "للتجارة"],
        phones: &["+966 5# ### ####"],
        notes: &["يفضل الاتصال مساءً", "عميل دائم"],
    },
    Culture {
        first_names: &["Анна", "Дмитрий", "Жанна", "Олексій", "Ђорђе", "Юлия", "Семён"],
        last_names: &["Ковалёв", "Шевченко", "Жукова", "Петровић", "Щербакова", "Іваненко"],
        companies: &["ООО", "и сыновья", "ТОВ"],
        phones: &["+380 ## ### ## ##", "+381 6# ### ####"],
        notes: &["Звонить после шести", "Постоянный покупатель — скидка 5 %"],
    },
    Culture {
        first_names: &["Αλέξανδρος", "Ωραία", "Ελένη", "Γιώργος", "Χρήστος"],
        last_names: &["Παπαδόπουλος", "Ωνάσης", "Γεωργίου", "Οικονόμου"],
        companies: &["Α.Ε.", "και Υιοί"],
        phones: &["+30 2## ### ####"],
        notes: &["Τηλέφωνο μόνο το απόγευμα", "Καλός πελάτης"],
    },
    Culture {
        first_names: &["अनन्या", "राहुल", "हरि", "प्रिया", "लक्ष्मी"],
        last_names: &["शर्मा", "हेगड़े", "वर्मा", "श्रीवास्तव"],
        companies: &["प्राइवेट लिमिटेड", "एंड संस"],
        phones: &["+91 ^#### #####"],
        notes: &["शाम को फ़ोन करें", "नियमित ग्राहक"],
    },
];
