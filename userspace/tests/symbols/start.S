/* SPDX-License-Identifier: GPL-2.0 */
	.text
	.globl	by_hand
	.type	by_hand, @function
by_hand:
	call	leaf
	nop
	call	leaf
	ret
	.size	by_hand, . - by_hand

	.type	leaf, @function
leaf:
	ret
	.size	leaf, . - leaf
	.section .note.GNU-stack, "", @progbits
