// SPDX-License-Identifier: GPL-2.0
#include <cstdio>
#include <map>
#include <string>
#include <vector>

volatile int seen;

namespace outer {
template <typename T> __attribute__((noinline)) void apply(T value)
{
	auto show = [&](int times) {
		for (int i = 0; i < times; i++)
			std::printf("%d\n", static_cast<int>(value));
	};
	show(seen);
	show(2);
}

namespace {
struct local {
	std::string name;
	explicit local(const char *from) : name(from) { std::puts(name.c_str()); }
	~local() { std::puts("gone"); }
	__attribute__((noinline)) int method(int value)
	{
		struct within {
			static __attribute__((noinline)) int run(int value)
			{
				std::puts("within");
				return value + seen;
			}
		};
		return within::run(value) + within::run(seen);
	}
};
}
}

struct base {
	virtual ~base() { std::puts("base"); }
	virtual int size() const = 0;
};

struct derived : base {
	std::vector<int> values;
	int size() const override { std::puts("size"); return static_cast<int>(values.size()); }
};

int (*pick(int which))(int)
{
	std::puts("pick");
	return which ? [](int value) { std::puts("one"); return value; } :
		       [](int value) { std::puts("none"); return -value; };
}

int main(int argc, char **)
{
	std::map<std::string, int> counts;
	derived it;

	outer::apply(argc);
	outer::apply(2.5);
	outer::local one("one");
	for (int i = 0; i < argc; i++) {
		counts[std::to_string(i)] += one.method(i);
		it.values.push_back(i);
	}
	try {
		if (argc > 100)
			throw std::string("rare");
	} catch (const std::string &what) {
		std::puts(what.c_str());
	}
	return it.size() + pick(argc)(static_cast<int>(counts.size()));
}
