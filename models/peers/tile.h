/* GCC before 13 tells the optimiser that loading a tile configuration reads 8 bytes of it, so the stores of the other 56 are
   dropped and the first tile instruction faults. llama.cpp is built with this header in front of every C++ file, so that its
   AMX kernels run with any compiler. */
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#include <immintrin.h>
struct whole_tile_configuration { unsigned char bytes[64]; };
static inline void load_whole_tile_configuration(const void *from) {
    __asm__ volatile("ldtilecfg\t%X0" : : "m"(*(const struct whole_tile_configuration *)from));
}
#undef _tile_loadconfig
#define _tile_loadconfig(from) load_whole_tile_configuration(from)
#endif
