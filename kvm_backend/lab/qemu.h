// AMD: QEMU's TCG emulates SVM.
#pragma once

#include "kvm_backend/lab/boot.h"

namespace tscsim::kvm_backend::lab {

Ended boot_qemu(const Boot& boot);

}  // namespace tscsim::kvm_backend::lab
