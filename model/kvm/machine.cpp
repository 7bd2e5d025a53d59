#include "model/kvm/machine_code.h"

namespace tscsim::model {

template class Machine<std::uint64_t>;
template class Machine<witness::Witness>;

}  // namespace tscsim::model
