"""A small routine of machine code, for what must happen while no Python runs: Python changes its own heap all the time."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable

from cellblock_cell import linux

_EXCHANGE_EQUAL = {
    # rdi: rows of three words (where, its like, how many bytes), rsi: how many rows, rdx: a descriptor of the process's pagemap, rcx: room
    # for as many of its entries as the longest row has pages. From each page on that is no file's and equals its like goes a run to the
    # last one that does; between them, up to eight pages at once of this process alone may differ and are written to their likes first.
    # A page that is not there is not read: what is mapped may have changed, and a guard page is mapped to kill who reads it.
    # For each run mremap(like, bytes, bytes, MAYMOVE|FIXED|DONTUNMAP, where).
    # Returns how many bytes, or what the system call that failed returned.
    "x86_64": """
        53 55 41 54 41 55        push rbx; push rbp; push r12; push r13
        41 56 41 57 52           push r14; push r15; push rdx (descriptor of pagemap)
        51                       push rcx (room for its entries)
        48 89 fb                 mov rbx, rdi
        48 89 f5                 mov rbp, rsi
        45 31 e4                 xor r12d, r12d
        48 85 ed                 row: test rbp, rbp
        0f 84 9a 01 00 00        jz end
        4c 8b 2b                 mov r13, [rbx] (target)
        4c 8b 73 08              mov r14, [rbx+8] (twin)
        4c 8b 7b 10              mov r15, [rbx+16] (bytes left)
        48 83 c3 18              add rbx, 24
        48 ff cd                 dec rbp
        48 8b 7c 24 08           mov rdi, [rsp+8]
        48 8b 34 24              mov rsi, [rsp]
        49 89 f1                 mov r9, rsi
        4c 89 fa                 mov rdx, r15
        48 c1 ea 09              shr rdx, 9
        4d 89 ea                 mov r10, r13
        49 c1 ea 09              shr r10, 9
        b8 11 00 00 00           mov eax, 17 (pread64)
        0f 05                    syscall
        48 39 d0                 cmp rax, rdx
        0f 85 5b 01 00 00        jne failed
        31 d2                    run: xor edx, edx (looked at so far)
        45 31 c0                 xor r8d, r8d (of that, equal by now)
        4c 39 fa                 page: cmp rdx, r15
        0f 83 e8 00 00 00        jae exchange
        48 89 d0                 mov rax, rdx
        48 c1 e8 09              shr rax, 9
        4d 8b 14 01              mov r10, [r9+rax]
        4d 85 d2                 test r10, r10 (present)
        0f 89 d4 00 00 00        jns exchange
        4d 85 c0                 test r8, r8
        75 13                    jnz compare
        4c 89 d0                 mov rax, r10
        48 c1 e8 3d              shr rax, 61
        83 e0 05                 and eax, 5
        83 f8 04                 cmp eax, 4 (present and not a file's)
        0f 85 bc 00 00 00        jne exchange
        49 8d 74 15 00           compare: lea rsi, [r13+rdx]
        49 8d 3c 16              lea rdi, [r14+rdx]
        b9 40 00 00 00           mov ecx, 64
        f3 0f 6f 06              line: movdqu xmm0, [rsi]
        f3 0f 6f 0f              movdqu xmm1, [rdi]
        66 0f 74 c1              pcmpeqb xmm0, xmm1
        f3 0f 6f 56 10           movdqu xmm2, [rsi+16]
        f3 0f 6f 5f 10           movdqu xmm3, [rdi+16]
        66 0f 74 d3              pcmpeqb xmm2, xmm3
        66 0f db c2              pand xmm0, xmm2
        f3 0f 6f 4e 20           movdqu xmm1, [rsi+32]
        f3 0f 6f 5f 20           movdqu xmm3, [rdi+32]
        66 0f 74 cb              pcmpeqb xmm1, xmm3
        66 0f db c1              pand xmm0, xmm1
        f3 0f 6f 4e 30           movdqu xmm1, [rsi+48]
        f3 0f 6f 5f 30           movdqu xmm3, [rdi+48]
        66 0f 74 cb              pcmpeqb xmm1, xmm3
        66 0f db c1              pand xmm0, xmm1
        66 0f d7 c0              pmovmskb eax, xmm0
        3d ff ff 00 00           cmp eax, 0xffff
        75 34                    jne differs
        48 83 c6 40              add rsi, 64
        48 83 c7 40              add rdi, 64
        ff c9                    dec ecx
        75 a7                    jnz line
        48 89 d1                 mov rcx, rdx
        4c 29 c1                 sub rcx, r8
        74 11                    jz equal
        4b 8d 74 05 00           lea rsi, [r13+r8]
        4b 8d 3c 06              lea rdi, [r14+r8]
        48 c1 e9 03              shr rcx, 3
        fc                       cld
        f3 48 a5                 rep movsq
        48 81 c2 00 10 00 00     equal: add rdx, 4096
        49 89 d0                 mov r8, rdx
        e9 3c ff ff ff           jmp page
        4d 85 c0                 differs: test r8, r8
        74 28                    jz exchange
        49 0f ba e2 38           bt r10, 56 (of this process alone)
        73 21                    jnc exchange
        49 0f ba e2 3d           bt r10, 61
        72 1a                    jc exchange
        48 89 d0                 mov rax, rdx
        4c 29 c0                 sub rax, r8
        48 3d 00 80 00 00        cmp rax, 32768
        73 0c                    jae exchange
        48 81 c2 00 10 00 00     add rdx, 4096
        e9 0f ff ff ff           jmp page
        4d 85 c0                 exchange: test r8, r8
        74 39                    jz skip
        4c 89 f7                 mov rdi, r14
        4c 89 c6                 mov rsi, r8
        4c 89 c2                 mov rdx, r8
        41 ba 07 00 00 00        mov r10d, 7
        4d 89 c3                 mov r11, r8
        49 c1 eb 09              shr r11, 9
        4d 01 d9                 add r9, r11
        4d 01 c6                 add r14, r8
        4d 29 c7                 sub r15, r8
        4d 01 c4                 add r12, r8
        4c 89 c0                 mov rax, r8
        4d 89 e8                 mov r8, r13
        49 01 c5                 add r13, rax
        b8 19 00 00 00           mov eax, 25 (mremap)
        0f 05                    syscall
        4c 39 c0                 cmp rax, r8
        75 29                    jne failed
        eb 19                    jmp next
        49 81 c5 00 10 00 00     skip: add r13, 4096
        49 81 c6 00 10 00 00     add r14, 4096
        49 83 c1 08              add r9, 8
        49 81 ef 00 10 00 00     sub r15, 4096
        4d 85 ff                 next: test r15, r15
        0f 85 aa fe ff ff        jnz run
        e9 60 fe ff ff           jmp row
        49 89 c4                 failed: mov r12, rax
        4c 89 e0                 end: mov rax, r12
        59 5a 41 5f 41 5e        pop rcx; pop rdx; pop r15; pop r14
        41 5d 41 5c 5d 5b        pop r13; pop r12; pop rbp; pop rbx
        c3                       ret
    """,
}
_PAGE = 4096  # as the listings have it

Exchange = Callable[[int, int, int, int], int]
"""Takes rows, their number, a descriptor and room, as the listing says."""


def exchange_equal() -> Exchange | None:
    """The routine in a page of its own, which may be executed and not written, for good; None for another processor. Raises OSError."""
    listing = _EXCHANGE_EQUAL.get(os.uname().machine)
    if listing is None or mmap.PAGESIZE != _PAGE:
        return None
    code = encoded(listing)
    address = linux.map_memory(_PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memmove(address, code, len(code))
    linux.protect_memory(address, _PAGE, mmap.PROT_READ | mmap.PROT_EXEC)
    keeps_the_lock = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_void_p)
    return keeps_the_lock(address)


def encoded(listing: str) -> bytes:
    """The bytes that a listing's lines begin with, two hexadecimal digits each."""
    code = bytearray()
    for line in listing.strip().splitlines():
        for word in line.split():
            if len(word) != 2 or not set(word) <= set("0123456789abcdef"):
                break
            code.append(int(word, 16))
    return bytes(code)
