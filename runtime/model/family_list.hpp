// The families' own files, for the list in families.cpp: each offers one function that describes it.
#pragma once

#include "runtime/model/families.hpp"

namespace argosy {

Family mixtral_family();      // mixtral.cpp
Family qwen3_moe_family();    // qwen3_moe.cpp
Family olmoe_family();        // olmoe.cpp
Family gpt_oss_family();      // gpt_oss.cpp
Family deepseek_v2_family();  // deepseek.cpp
Family deepseek_v3_family();  // deepseek.cpp
Family qwen3_family();        // qwen3.cpp
Family llama_family();        // llama.cpp

}  // namespace argosy
