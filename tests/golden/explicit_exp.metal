// vjp: (y_in, g_in) -> (dx_out)
typedef float T;
const uint zk_i = thread_position_in_grid.x;
const T y = T(y_in[zk_i]);
const T g = T(g_in[zk_i]);
dx_out[zk_i] = static_cast<O0>(g * y);

