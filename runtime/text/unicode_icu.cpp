// The door to ICU: the only file that includes its headers.
#include "runtime/text/unicode_icu.hpp"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include "kernels/base/error.hpp"

namespace argosy {

CharFacts unicode_char_facts(char32_t code) {
    const auto point = static_cast<UChar32>(code);
    const uint32_t category = U_GET_GC_MASK(point);
    CharFacts facts;
    facts.upper = category & U_GC_LU_MASK;
    facts.title = category & U_GC_LT_MASK;
    facts.lower = category & U_GC_LL_MASK;
    facts.modifier = category & U_GC_LM_MASK;
    facts.other_letter = category & U_GC_LO_MASK;
    facts.mark = category & U_GC_M_MASK;
    facts.decimal = category & U_GC_ND_MASK;
    facts.number = category & U_GC_N_MASK;
    facts.punctuation = category & U_GC_P_MASK;
    facts.connector = category & U_GC_PC_MASK;
    facts.white_space = u_isUWhiteSpace(point);
    facts.alphabetic = u_isUAlphabetic(point);
    facts.join_control = u_hasBinaryProperty(point, UCHAR_JOIN_CONTROL);
    return facts;
}

bool unicode_is_printable(char32_t code) {
    const uint32_t category = U_GET_GC_MASK(static_cast<UChar32>(code));
    constexpr uint32_t kHidden = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CS_MASK | U_GC_CO_MASK | U_GC_CN_MASK | U_GC_Z_MASK;
    return code == U' ' || (category & kHidden) == 0;
}

std::string unicode_upper(std::string_view text) {
    UErrorCode status = U_ZERO_ERROR;
    std::string out;
    icu::StringByteSink<std::string> sink(&out);
    const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
    icu::CaseMap::utf8ToUpper("", 0, piece, sink, nullptr, status);
    if (U_FAILURE(status))
        fail(ErrorKind::system, "ICU could not write a text in upper case: {}.", u_errorName(status));
    return out;
}

std::string unicode_lower(std::string_view text) {
    UErrorCode status = U_ZERO_ERROR;
    std::string out;
    icu::StringByteSink<std::string> sink(&out);
    const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
    icu::CaseMap::utf8ToLower("", 0, piece, sink, nullptr, status);
    if (U_FAILURE(status))
        fail(ErrorKind::system, "ICU could not write a text in lower case: {}.", u_errorName(status));
    return out;
}

bool normalize_nfc(std::string_view text, std::string& out) {
    // Nothing below U+0300 changes or combines, and its UTF-8 has no byte from 0xCC up: ASCII and Latin text ends here.
    bool plain = true;
    for (const char c : text) plain &= static_cast<unsigned char>(c) < 0xCC;
    if (plain) return false;
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
    const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
    const bool already = U_SUCCESS(status) && nfc->isNormalizedUTF8(piece, status);
    if (U_SUCCESS(status) && already) return false;
    out.clear();
    icu::StringByteSink<std::string> sink(&out);
    if (U_SUCCESS(status)) nfc->normalizeUTF8(0, piece, sink, nullptr, status);
    if (U_FAILURE(status)) {
        fail(ErrorKind::system, "ICU could not bring a text of {} bytes to NFC: {}. Check the installation of libicu.",
             text.size(), u_errorName(status));
    }
    return true;
}

}  // namespace argosy
