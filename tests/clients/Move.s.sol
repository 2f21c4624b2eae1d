// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Meter} from "../src/Meter.sol";

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// Deploys a meter and moves it, as people deploy what they made.
contract Move {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external returns (address) {
        vm.startBroadcast();
        Meter meter = new Meter(5);
        meter.add(7, "seven");
        meter.pay{value: 3}();
        vm.stopBroadcast();
        return address(meter);
    }
}
