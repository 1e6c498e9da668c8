// CPUID's leaf 7 tells of the instructions, arch_prctl of the registers.
#include "kernels/base/amx_permission.hpp"

#include <cpuid.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace argosy {

std::string amx_missing(AmxProducts products) {
    constexpr unsigned kTiles = 1U << 24;
    const unsigned instruction = 1U << (products == AmxProducts::int8 ? 25 : 22);
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kTiles) == 0 || (edx & instruction) == 0)
        return products == AmxProducts::int8 ? "This CPU lacks AMX-INT8." : "This CPU lacks AMX-BF16.";
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM, since Linux 5.16
    constexpr long kTileData = 18;               // the processor's state component XTILEDATA
    if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0)
        return fmt::format("Linux does not give this process the registers of AMX: {}.", std::strerror(errno));
    return "";
}

}  // namespace argosy
