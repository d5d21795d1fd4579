// SPDX-License-Identifier: GPL-2.0
package main

import "fmt"

type counter struct{ counts map[string]int }

//go:noinline
func (c *counter) add(text string) {
	c.counts[text]++
	fmt.Println(text, c.counts[text])
}

func twice(value int) int {
	fmt.Println(value)
	return 2 * value
}

func main() {
	c := &counter{map[string]int{}}
	for i := 0; i < 3; i++ {
		c.add(fmt.Sprint(twice(i)))
	}
	func() { fmt.Println("closure") }()
}
