// No vector instruction that faults on an address which is not a multiple of its width.
//
// A kernel looks at memory as types that the memory was not made for: an array of MLX's begins at
// any multiple of 8 bytes, a view of one at any of its elements, and the kernel reads it as a
// structure with alignas(16). A GPU takes that; `vmovaps` does not. The compiler believes the types,
// so its assembler is told to write the other form of each such instruction, which costs the same
// where the address is a multiple after all. Instructions that calculate with an operand in memory
// take any address since AVX.
#pragma once
#if defined(__x86_64__) && defined(__AVX__) && defined(__GNUC__) && !defined(__clang__)
#define ZMLX_ANY_ADDRESS(aligned, any) asm(".macro " #aligned " operands:vararg\n" #any " \\operands\n.endm");
ZMLX_ANY_ADDRESS(vmovaps, vmovups)
ZMLX_ANY_ADDRESS(vmovapd, vmovupd)
ZMLX_ANY_ADDRESS(vmovdqa, vmovdqu)
ZMLX_ANY_ADDRESS(vmovdqa32, vmovdqu32)
ZMLX_ANY_ADDRESS(vmovdqa64, vmovdqu64)
#undef ZMLX_ANY_ADDRESS
#endif
